"""Lemmas: the input and output encoding of a lemmatizer, and the dictionary that precedes it.

A word is read as one sequence of symbols: its tags, then its characters (Kann and Schütze 2016). Its lemma is one of
three edits, as in Stanza (Qi et al. 2018): the form unchanged, the form in lower case, or a spelled lemma. Most words
occur in training with the same tags; the dictionary has their lemmas.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from service.text.encoding import Ids, encode_tokens
from service.text.vocabulary import PAD, RESERVED, Vocabulary

ANY = "*"  # stands for every XPOS
EDITS = ("spelled", "form", "lower case")


class Inflected(NamedTuple):
    """A word and its tags; `feats` as CoNLL-U writes them."""

    form: str
    upos: str
    xpos: str
    feats: str


def symbols(word: Inflected) -> list[str]:
    """Returns the symbols that a lemmatizer reads: a word's tags, distinct from any character, and its characters."""
    feats = word.feats.split("|") if word.feats != "_" else []
    return [f"UPOS={word.upos}", f"XPOS={word.xpos}", *feats, *word.form]


def encode(word: Inflected, vocabulary: Vocabulary) -> Ids:
    """Returns the ids of a word's symbols  # [T] int32."""
    return encode_tokens(symbols(word), vocabulary)


def edit_of(form: str, lemma: str) -> int:
    """Returns the simplest edit that turns a form into a lemma."""
    if lemma == form:
        return EDITS.index("form")
    return EDITS.index("lower case" if lemma == form.lower() else "spelled")


def decode(form: str, edit: int, ids: Iterable[int], vocabulary: Vocabulary) -> str:
    """Returns the lemma. ids: of the spelled characters, up to PAD."""
    match EDITS[edit]:
        case "form":
            return form
        case "lower case":
            return form.lower()
    spelled = []
    for id in ids:
        if id == PAD:
            break
        if id >= len(RESERVED):
            spelled.append(vocabulary.string(id))
    return "".join(spelled) or form


class LemmaDictionary:
    """The lemmas of words seen in training, by form, UPOS and XPOS; of others by UPOS and the form in lower case."""

    def __init__(self, entries: Mapping[str, Mapping[str, str]]) -> None:
        """entries: "UPOS XPOS", or "UPOS *" for any XPOS -> form -> lemma."""
        self._entries = {tuple(tags.split(" ")): dict(lemmas) for tags, lemmas in entries.items()}

    @classmethod
    def count(cls, words: Iterable[tuple[Inflected, str]]) -> Self:
        """Builds the dictionary of each tagged word's most frequent lemma, ties by spelling."""
        counts: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for word, lemma in words:
            counts[f"{word.upos} {word.xpos}", word.form][lemma] += 1
        entries: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for (tags, form), lemmas in sorted(counts.items()):
            entries[tags][form] = min(lemmas, key=lambda lemma: (-lemmas[lemma], lemma))
        return cls(entries)

    def find(self, form: str, upos: str, xpos: str) -> str | None:
        """Returns the lemma of a form with its tags, or None."""
        seen = self._entries.get((upos, xpos), {})
        return seen[form] if form in seen else self._entries.get((upos, ANY), {}).get(form.lower())

    def with_others(self, others: Mapping[str, Mapping[str, str]]) -> "LemmaDictionary":
        """Returns the dictionary with lemmas of words with any XPOS. others: UPOS -> form in lower case -> lemma."""
        entries = {" ".join(tags): lemmas for tags, lemmas in self._entries.items()}
        return LemmaDictionary(entries | {f"{upos} {ANY}": lemmas for upos, lemmas in others.items()})

    def write(self, path: Path) -> None:
        """Writes the dictionary as JSON, one line per pair of tags."""
        lines = [f"{json.dumps(' '.join(tags))}: {json.dumps(lemmas)}" for tags, lemmas in self._entries.items()]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Parses the content of a dictionary file. Raises ValueError."""
        found = json.loads(content)
        if not isinstance(found, dict) or not all(isinstance(lemmas, dict) for lemmas in found.values()):
            raise ValueError("a dictionary is a JSON object of objects: tags, form, lemma")
        if wrong := next((tags for tags in found if tags.count(" ") != 1), None):
            raise ValueError(f"a dictionary is by UPOS and XPOS with a space between them, not by {wrong[:40]!r}")
        for lemmas in found.values():
            if not all(isinstance(lemma, str) for lemma in lemmas.values()):
                raise ValueError("the lemmas of a dictionary are strings")
            "".join(lemmas.values()).encode()  # raises UnicodeEncodeError for a lone surrogate
        return cls(found)
