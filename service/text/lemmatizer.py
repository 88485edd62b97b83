"""The lemmas of tagged words: of the words of a treebank, of a lexicon, or by the rules that a tagger gives a word.

Most words occur in the treebank with the same tags; the dictionary has their lemmas. Of others, the tagger says
which rules may make their lemma (`LemmaRule`). The candidates are the lemmas by its most probable rules, and the one
that a lexicon lists. Each has features, and the one with the highest sum of their weights is taken. Training learns the
weights (`training.models.lemma_weights`).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple, Self

import msgspec
import numpy as np

from service.text.normalization import SUBSTITUTES, are_normal, normalize_each, normalize_form
from service.text.packed_words import unpacked

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
LONGEST = 60  # characters of a word that is looked up in other spellings
_STRETCHED = re.compile(r"([^\W\d_A-ZÀ-Þ])\1{2,}")  # a letter that is no capital, three times or more
_KEYBOARD = str.maketrans(SUBSTITUTES)
LEMMA = "lemma"  # a tagger's head of lemma rules
Features = dict[str, float]  # name -> value

RANKS = ("rule 1", "rule 2", "rule 3")  # the lemma is by the most probable rule that makes it, the next, the third
ODDS = "odds"  # of the most probable rule, of a lemma that is by this rule
LISTED = "listed"  # the lexicon lists the lemma for the word, but for upper and lower case
LISTED_SO = "listed so"  # the lexicon lists it as it is written
KNOWN = "known"  # the lemma is one of the treebank's
PLAIN = {LISTED_SO: 100.0} | dict(zip(RANKS, (3.0, 2.0, 1.0), strict=True))  # weights, where none are learned
MOST_ODDS = 7
ODDS_LIMITS = 1 / (1 + np.exp(0.5 + MOST_ODDS - np.arange(1, 2 * MOST_ODDS + 1)))  # probabilities where `odds` changes
RULES_TRIED = len(RANKS)  # of a word, the most probable first
NEXT_RULES = tuple(f"{LEMMA}_id_{rank}" for rank in range(2, RULES_TRIED + 1))  # outputs of a tagger's step
SEPARATOR = "\t"  # between UPOS and the finer tag in the file
ANY_TAG = "*"  # in place of the finer tag
# UPOS -> label of a rule -> the forms whose lemma it makes, packed, or as a list in older versions
Lexicon = Mapping[str, Mapping[str, str | Sequence[str]]]


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
        """Whether the lemma is the form, but for upper and lower case, or for commas."""
        return not (self.cut_start or self.put_start or self.cut_end or self.put_end)

    @property
    def _capitalizes(self) -> bool:
        return len(self.put_start) == self.cut_start and self.put_start != self.put_start.lower()

    def apply(self, form: str) -> str | None:
        """Returns the lemma; None if the rule does not fit the form.

        It does not if the form is too short, or has no letter, or is no number with commas, or begins with other letters
        than those in whose place the rule puts as many with capitals: "americans" is American, "israelians" no Asraelian.
        """
        if self.casing == JOINED:
            joined = form.replace(",", "")
            return joined if joined != form and joined.replace(".", "").isdecimal() else None
        text = form if self.casing == KEEP else form.lower()
        kept = text[self.cut_start : max(0, len(text) - self.cut_end)]
        if self._capitalizes and text[: self.cut_start].lower() != self.put_start.lower():
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


class LemmaFile(msgspec.Struct, forbid_unknown_fields=True):
    """The content of a lemmatizer's file.

    Attributes:
        characters: of the forms that rules were learned of that change more than upper and lower case. A form with
            any other character keeps its characters, as one without letters does.
        irregular: the forms, in lower case, of each lemma that is a rule itself.
        lexicon: forms in lower case, see `service.text.packed_words`.
        dictionary: UPOS and tag with a tab between them, for the tag see `finer_column` -> form -> lemma; with ANY_TAG,
            of forms in lower case.
        weights: of what speaks for a candidate; by default the lexicon's lemma, or the first rule that fits, is taken.
    """

    characters: str
    irregular: dict[str, list[str]]
    lexicon: dict[str, dict[str, str | list[str]]]
    dictionary: dict[str, dict[str, str]]
    weights: dict[str, float] = {}


def finer_column(labels: Mapping[str, Sequence[str]]) -> str:
    """Returns the column by which the dictionary tells words of a UPOS apart: "xpos", or "feats" without XPOS."""
    return "xpos" if len(labels["xpos"]) > 1 else "feats"


class Lemmatizer:
    """Finds the lemma of a tagged word. All forms are read in their normal form.

    Args:
        labels: of the rules, in the order of their ids.

    Raises:
        ValueError: a label is no rule.
    """

    def __init__(self, labels: Sequence[str], content: LemmaFile) -> None:
        self._rules = [parse_rule(label) for label in labels]
        self._characters = frozenset(content.characters)
        self._irregular = {lemma: frozenset(normalize_each(forms)) for lemma, forms in content.irregular.items()}
        self._lexicon = LemmaLexicon(content.lexicon)
        self._dictionary = {
            tuple(tags.split(SEPARATOR)): _by_normal_form(lemmas) for tags, lemmas in content.dictionary.items()
        }
        self._known = {lemma.lower() for lemmas in self._dictionary.values() for lemma in lemmas.values()}
        self._weights = content.weights or PLAIN

    @classmethod
    def parse(cls, content: bytes, labels: Sequence[str]) -> Self:
        """Parses the content of a file. Raises ValueError."""
        found = msgspec.json.decode(content, type=LemmaFile)
        if wrong := next((tags for tags in found.dictionary if tags.count(SEPARATOR) != 1), None):
            raise ValueError(f"a dictionary is by UPOS and a tag with a tab between them, not by {wrong[:40]!r}")
        return cls(labels, found)

    def lemma(self, form: str, upos: str, tag: str, rules: Sequence[int], odds: int = 0) -> str:
        """Returns the lemma of a word. rules, odds: see `choose`."""
        found = self.find(form, upos, tag)
        return self.choose(form, upos, rules, odds) if found is None else found

    def find(self, form: str, upos: str, tag: str) -> str | None:
        """Returns the lemma of a word by the dictionary; None if it lacks the word with these tags.

        A word that it lacks as it is written may be there in other characters, see `_other_spellings`.
        """
        form = normalize_form(form)
        if (found := self._find(form, upos, tag)) is not None:
            return found
        return next(filter(None, (self._find(other, upos, tag) for other in _other_spellings(form))), None)

    def _find(self, form: str, upos: str, tag: str) -> str | None:
        found = self._dictionary.get((upos, tag), {}).get(form)
        return found or self._dictionary.get((upos, ANY_TAG), {}).get(form.lower())

    def choose(self, form: str, upos: str, rules: Sequence[int], odds: int = 0) -> str:
        """Returns the lemma of a word that the dictionary lacks; the form itself if it has no candidate.

        Args:
            rules: the ids of its most probable rules, the best first.
            odds: of the best one, see `odds`.
        """
        found = self.candidates(form, upos, rules, odds)
        return max(found, key=lambda lemma: total(found[lemma], self._weights), default=normalize_form(form))

    def candidates(self, form: str, upos: str, rules: Sequence[int], odds: int) -> dict[str, Features]:
        """Returns the lemmas that a word may have by its rules and the lexicon, with what speaks for each."""
        form = normalize_form(form)
        ranks: dict[str, int | None] = {}  # of the rule that makes a lemma, 0 for the most probable; None if none does
        for place, id in enumerate(rules):
            if (lemma := self._apply(self._rules[id], form)) is not None:
                ranks.setdefault(lemma, place)
        if (listed := self._lexicon.find(form, upos)) is not None:
            ranks.setdefault(listed, None)
        found: dict[str, Features] = {}
        written = casing(form)
        for lemma, rank in ranks.items():
            own = found[lemma] = {}
            if written in (FIRST, MIXED):  # a text in lower case or in capitals has no capitals of names
                own[f"{upos} {written} {casing(lemma)}"] = 1.0
            if rank is not None:
                own[RANKS[rank]] = 1.0
            if rank == 0:
                own[ODDS] = odds
            own[KNOWN] = float(lemma.lower() in self._known)
            if listed is not None:
                own[LISTED], own[LISTED_SO] = float(lemma.lower() == listed.lower()), float(lemma == listed)
        return found

    def by_rule(self, form: str, rule: int) -> str | None:
        """Returns the lemma that a rule makes of a form; None if it does not fit. rule: its id."""
        return self._apply(self._rules[rule], normalize_form(form))

    def _apply(self, rule: LemmaRule | str, form: str) -> str | None:
        if isinstance(rule, str):
            return rule if form.lower() in self._irregular.get(rule, ()) else None
        allowed = rule.keeps_characters or (self._characters.issuperset(form.lower()) and any(map(str.isalpha, form)))
        return rule.apply(form) if allowed else None


class LemmaLexicon:
    """Finds the lemma of a word as a part of speech: by a hash of each word, and the rule that makes its lemma.

    A word takes 12 bytes; as strings, the 200 000 words of a lexicon of French took 40 MB in each process. That two of
    so many words have the same hash of 64 bits has a probability of one in a billion.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        """Raises ValueError if a label is no rule, or forms are not packed as they should be."""
        numbers: dict[str, int] = {}
        digests: list[bytes] = []
        rules: list[int] = []
        for upos, by_rule in lexicon.items():
            for label, forms in by_rule.items():
                words = normalize_each(list(unpacked(forms)) if isinstance(forms, str) else forms)
                digests += [_digest(upos, form) for form in words]
                rules += [numbers.setdefault(label, len(numbers))] * len(words)
        hashes = np.frombuffer(b"".join(digests), ">i8").astype(np.int64)
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._numbers = np.array(rules, np.int32)[order]
        self._rules = [parse_rule(label) for label in numbers]

    def find(self, form: str, upos: str) -> str | None:
        """Returns the lemma of a form in its normal form; None if it is not listed as that part of speech.

        Lexicons list auxiliaries as verbs.
        """
        found = self._find(form, upos)
        return self._find(form, "VERB") if found is None and upos == "AUX" else found

    def _find(self, form: str, upos: str) -> str | None:
        lower = form.lower()
        wanted = int.from_bytes(_digest(upos, lower), "big", signed=True)
        place = int(self._hashes.searchsorted(wanted))
        if place == len(self._hashes) or self._hashes[place] != wanted:
            return None
        rule = self._rules[self._numbers[place]]
        return rule if isinstance(rule, str) else rule.apply(lower)


def odds(probability: float) -> int:
    """Returns the logarithm of the odds of a probability, to the next integer, from -MOST_ODDS to MOST_ODDS.

    So few values occur that a cache can have them in its keys.
    """
    return int(ODDS_LIMITS.searchsorted(probability)) - MOST_ODDS


def total(features: Features, weights: Mapping[str, float]) -> float:
    """Returns the sum of weighted features; those that have no weight do not count."""
    return sum(weights.get(name, 0.0) * value for name, value in features.items())


def casing(text: str) -> str:
    """Returns how a word is written: "lower", "upper", "first" for a capital at its start alone, or "mixed"."""
    lower = text.lower()
    if text == lower:
        return LOWER
    if text[1:] == lower[1:]:
        return FIRST
    return UPPER if text == text.upper() else MIXED


def _other_spellings(form: str) -> Iterator[str]:
    """Yields how else a word may be written.

    With the quotes and dashes of a keyboard; a word in lower case or in capitals with a capital at its start, or in
    lower case; a stretched word, such as "soooo" or "commment", with two letters, then with one, wherever it has the
    same three times or more, but for capitals ("XVIIIe") and words of one letter alone ("www").
    """
    if len(form) > LONGEST:
        return
    yield form.translate(_KEYBOARD)
    written = casing(form)
    if written in (LOWER, UPPER):
        yield CASINGS[FIRST](form)
    if written == UPPER:
        yield form.lower()
    if _STRETCHED.search(form) and len(set(form)) > 1:
        yield _STRETCHED.sub(r"\1\1", form)
        yield _STRETCHED.sub(r"\1", form)


def _digest(upos: str, form: str) -> bytes:
    """Returns 64 bits that are the same in every process, which a lexicon may be sent to; Python's `hash` differs."""
    return blake2b(f"{upos} {form}".encode(), digest_size=8).digest()


def _by_normal_form(lemmas: Mapping[str, str]) -> dict[str, str]:
    """Returns the lemmas of the normal forms of words; a form that is normal has its own."""
    if are_normal(lemmas):
        return dict(lemmas)
    plain = {normalize_form(form): lemma for form, lemma in lemmas.items()}
    return plain | {form: lemma for form, lemma in lemmas.items() if form in plain}
