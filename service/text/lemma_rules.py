"""Lemma rules: how the lemma of a word is made of its form."""

import re
from collections.abc import Callable
from typing import NamedTuple

LOWER, KEEP, FIRST, UPPER, MIXED = "lower", "keep", "first", "upper", "mixed"
CASINGS: dict[str, Callable[[str], str]] = {
    LOWER: str.lower,
    KEEP: str,  # the characters of the form as they are
    FIRST: lambda text: text[:1].upper() + text[1:].lower(),
    UPPER: str.upper,
}
IRREGULAR = "="
JOINED = "joined"  # the rule that "12,000" is 12000
_LABEL = re.compile(rf"({'|'.join(CASINGS)})(?:\|start-(\d+)\+([^|]*))?(?:\|end-(\d+)\+(.*))?", re.DOTALL)


class LemmaRule(NamedTuple):
    """How the lemma of a word is made of its form, so that a lemma is one more label of a word.

    The casing of the lemma, or JOINED, which leaves out the commas of a number; and what is cut from and put to both
    ends of the form, around the longest part that form and lemma have in common, as in UDPipe 2 (Straka, Straková and
    Hajič 2019). Where they have nothing in common, the lemma itself is the rule, an irregular one.

    Its label is "lower|start-2+un|end-1+y"; an end that stays is left out, and "first" is a casing alone.
    """

    casing: str
    cut_start: int = 0
    put_start: str = ""
    cut_end: int = 0
    put_end: str = ""

    def __str__(self) -> str:
        start = f"|start-{self.cut_start}+{self.put_start}" if self.cut_start or self.put_start else ""
        end = f"|end-{self.cut_end}+{self.put_end}" if self.cut_end or self.put_end else ""
        return f"{self.casing}{start}{end}"

    @property
    def keeps_characters(self) -> bool:
        """Whether the lemma is the form, except for upper and lower case, or for commas."""
        return not (self.cut_start or self.put_start or self.cut_end or self.put_end)

    def apply(self, form: str) -> str | None:
        """Returns the lemma; None if the rule does not fit the form.

        It does not if the form is too short, or has no letter, or is no number with commas; or if it begins with other
        letters than those in whose place the rule puts as many, with a capital: it makes American of "americans", and
        nothing of "israelians".
        """
        if self.casing == JOINED:
            joined = form.replace(",", "")
            return joined if joined != form and joined.replace(".", "").isdecimal() else None
        text = form if self.casing == KEEP else form.lower()
        kept = text[self.cut_start : max(0, len(text) - self.cut_end)]
        capitalizes = len(self.put_start) == self.cut_start and self.put_start != self.put_start.lower()
        if capitalizes and text[: self.cut_start].lower() != self.put_start.lower():
            return None
        if not kept or ((self.put_start or self.put_end) and not any(map(str.isalpha, kept))):
            return None
        return CASINGS[self.casing](f"{self.put_start}{kept}{self.put_end}")


def parse_rule(label: str) -> LemmaRule | str:
    """Parses a label: returns its rule, or the lemma that an irregular one is. Raises ValueError."""
    if label == JOINED:
        return LemmaRule(JOINED)
    if label.startswith(IRREGULAR):
        return label.removeprefix(IRREGULAR)
    if not (found := _LABEL.fullmatch(label)):
        raise ValueError(f"no lemma rule is {label[:60]!r}; one is 'lower|end-3+y', 'first' or '=be'")
    casing, cut_start, put_start, cut_end, put_end = found.groups(default="")
    return LemmaRule(casing, int(cut_start or 0), put_start, int(cut_end or 0), put_end)


def casing(text: str) -> str:
    """Returns how a word is written: "lower", "upper", "first" for a capital at its start alone, or "mixed"."""
    lower = text.lower()
    if text == lower:
        return LOWER
    if text[1:] == lower[1:]:
        return FIRST
    return UPPER if text == text.upper() else MIXED
