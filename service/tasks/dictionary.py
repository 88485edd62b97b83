"""What a dictionary of a model changes in its answers: tags that it replaces, or words that a classifier ignores.

A file has an entry per line, with tabs between its cells; cells that are empty, at the end also missing, change
nothing. Lines that begin with "# " are comments.

```
forms           if      UPOS    XPOS    feats           lemma
Acme            NOUN    PROPN   NNP     Number=Sing     Acme
lol                     INTJ    UH      _
New Relic               PROPN   NNP     Number=Sing     New Relic
```

A form in lower case stands for the word in any case, one with a capital only for the word as it is written. An
entry may have several forms, with spaces between them; its other cells then have one value for all of them, or one for
each. The longest sequence of forms is replaced. Of several entries for the same forms, the first applies whose `if` are
the model's tags. An entry for a classifier has forms alone.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from service.errors import ConfigurationError, shortened
from service.tasks.tagging import Tag
from service.text.conllu import parse_features
from service.text.interruptible import SENTENCES_AT_ONCE, Interruptible
from service.text.tokens import TokenSpan

CELLS = ("forms", "if", "UPOS", "XPOS", "feats", "lemma")
SOURCE = "dictionary"  # of a tag, in answers
_FEATURES = re.compile(r"_|[^=|\s]+=[^=|\s]+(?:\|[^=|\s]+=[^=|\s]+)*")


class Entry(NamedTuple):
    """A sequence of forms, with a condition and a change for each form.

    A condition is the UPOS or XPOS that the model must have given, "" for any. A change has new values for fields of
    `Tag`. `line` is the number of the entry's line.
    """

    forms: tuple[str, ...]
    conditions: tuple[str, ...]
    changes: tuple[Mapping[str, Any], ...]
    line: int


class Dictionary:
    """The entries of a file, found by their forms in lower case, in a time that does not grow with their number.

    Args:
        count: is called with the number of words that have been replaced or ignored.
    """

    def __init__(self, entries: Sequence[Entry], count: Callable[[int], None]) -> None:
        self._count = count
        self._entries: dict[tuple[str, ...], list[Entry]] = {}
        self._lengths: dict[str, list[int]] = {}  # by the first form, of the entries in words, the longest first
        for entry in sorted(entries, key=lambda entry: (-len(entry.forms), entry.line)):
            forms = tuple(map(str.lower, entry.forms))
            self._entries.setdefault(forms, []).append(entry)
            lengths = self._lengths.setdefault(forms[0], [])
            if len(forms) not in lengths:
                lengths.append(len(forms))

    def replace(
        self, sentences: Sequence[Sequence[TokenSpan]], tags: Sequence[list[Tag]]
    ) -> Interruptible[list[dict[int, Tag]]]:
        """Replaces tags of sentences in place; returns, for each sentence, the tags before by the tokens' indices."""
        found: list[dict[int, Tag]] = []
        for tokens, own in zip(sentences, tags, strict=True):
            replaced: dict[int, Tag] = {}
            for start, entry in self._matches([token.text for token in tokens], own):
                for i, change in enumerate(entry.changes, start):
                    replaced[i], tag = own[i], own[i]._replace(**change)
                    own[i] = tag if own[i].lemma is not None else tag._replace(lemma=None)
            found.append(replaced)
            if not len(found) % SENTENCES_AT_ONCE:
                yield
        if replaced_words := sum(map(len, found)):
            self._count(replaced_words)
        return found

    def ignored(self, words: Sequence[str]) -> dict[int, None]:
        """Returns the indices of the words of a text that are ignored, in order."""
        found = {i: None for start, entry in self._matches(words) for i in range(start, start + len(entry.forms))}
        if found:
            self._count(len(found))
        return found

    def _matches(self, words: Sequence[str], tags: Sequence[Tag] = ()) -> Iterator[tuple[int, Entry]]:
        """Yields the entries that words match from left to right, each with the index of its first word."""
        known, end = self._lengths, 0
        for start in [i for i, word in enumerate(words) if word.lower() in known]:
            if start < end:
                continue
            for length in known[words[start].lower()]:
                here = slice(start, start + length)
                alike = self._entries.get(tuple(map(str.lower, words[here])), ())
                found = (e for e in alike if _is(e.forms, words[here]) and (not tags or _has(e.conditions, tags[here])))
                if entry := next(found, None):
                    yield start, entry
                    end = here.stop
                    break


def _is(forms: Sequence[str], words: Sequence[str]) -> bool:
    return all(form in (word, word.lower()) for form, word in zip(forms, words, strict=True))


def _has(conditions: Sequence[str], tags: Sequence[Tag]) -> bool:
    return all(wanted in ("", tag.upos, tag.xpos) for wanted, tag in zip(conditions, tags, strict=True))


def parse(text: str, upos: Collection[str] | None) -> list[Entry]:
    """Parses a dictionary. Raises ConfigurationError with the line, what is wrong, and what would be right.

    Args:
        upos: the tags of a tagger; None for a classifier, whose entries have forms alone.
    """
    seen: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}
    entries = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("# "):
            continue
        try:
            entry = _entry(line.removesuffix("\r").split("\t"), number, upos)
            if (first := seen.setdefault(entry[:2], number)) != number:
                raise ValueError(f"the same forms and tags as line {first}; right: one line for them")
        except ValueError as error:
            raise ConfigurationError(f"line {number}: {error}") from None
        entries.append(entry)
    return entries


def _entry(cells: Sequence[str], line: int, upos: Collection[str] | None) -> Entry:
    """Returns the entry of a line. Raises ValueError."""
    most = 1 if upos is None else len(CELLS)
    if len(cells) > most:
        raise ValueError(f"{len(cells)} cells; right: {'forms alone' if upos is None else ', '.join(CELLS)}")
    forms = tuple(cells[0].split())
    if not forms:
        raise ValueError("no forms; right: a word, or several with spaces between them")
    columns = {name: _spread(name, cell, len(forms)) for name, cell in zip(CELLS[1:], cells[1:], strict=False)}
    if upos is not None and not any(any(values) for name, values in columns.items() if name != "if"):
        raise ValueError("nothing that it changes; right: " + ", ".join(CELLS))
    for tag in filter(None, columns.get("UPOS", ())):
        if tag not in (upos or ()):
            raise ValueError(f"the UPOS {shortened(tag)!r}; right: {', '.join(upos or ())}")
    for features in filter(None, columns.get("feats", ())):
        if not _FEATURES.fullmatch(features):
            raise ValueError(f"the features {shortened(features)!r}; right: Name=Value|Name=Value, or _ for none")
    changes = tuple(_change({name: values[i] for name, values in columns.items()}) for i in range(len(forms)))
    return Entry(forms, columns.get("if", ("",) * len(forms)), changes, line)


def _change(values: Mapping[str, str]) -> dict[str, Any]:
    """Returns the fields of a tag that an entry changes. A UPOS from the dictionary has the confidence 1."""
    change: dict[str, Any] = {name.lower(): values[name] for name in ("UPOS", "XPOS", "lemma") if values.get(name)}
    if features := values.get("feats"):
        change["feats"] = parse_features(features)
    return change | ({"confidence": 1.0} if "upos" in change else {})


def _spread(name: str, cell: str, forms: int) -> tuple[str, ...]:
    """Returns the value of a cell for each form. Raises ValueError if it has neither one nor one for each."""
    values = tuple(cell.split()) or ("",)
    if len(values) not in (1, forms):
        raise ValueError(f"{len(values)} values of {name}; right: one, or one for each form")
    return values if len(values) == forms else values * forms
