"""A lexicon: words, and what each of them may be."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spacy.util import load_language_data, registry

from service.artifact.manifest import DataSource
from service.errors import ConfigurationError
from training.data.files import DataFileError, read_text, source

SPACY = "spacy"  # names the lexicons of this package:
PACKAGE = "spacy-lookups-data"
MOST_CLASSES = 10_000


@dataclass(frozen=True)
class Lexicon:
    """Words, and what each of them may be.

    Attributes:
        kinds: of a word in lower case, sorted.
        source: for the model card.
    """

    kinds: Mapping[str, tuple[str, ...]]
    source: DataSource


def read(path: Path, licence: str) -> Lexicon:
    """Reads a lexicon: in each line a word, a tab, and what the word may be, such as "runs" and "verb".

    A word that may be several things has a line for each. Raises DataFileError.
    """
    pairs = []
    for number, line in enumerate(read_text(path).removesuffix("\n").split("\n"), start=1):
        word, _, kind = (part.strip() for part in line.partition("\t"))
        if not (word and kind) or "\t" in kind:
            right = "a word, a tab, and what the word may be, such as noun"
            raise DataFileError(path, number, repr(line[:80]), right)
        pairs.append((word, kind))
    kinds = _by_word(pairs)
    if (classes := len(set(kinds.values()))) > MOST_CLASSES:
        fault = f"{classes:,} different combinations of what a word may be"
        raise DataFileError(path, None, fault, f"{MOST_CLASSES:,} at most, such as of parts of speech")
    return Lexicon(kinds, source(path, licence))


def of_spacy(language: str) -> Lexicon:
    """Returns the words of spacy-lookups-data with their parts of speech.

    Raises ConfigurationError where it is not installed or lacks the language.
    """
    tables = registry.lookups.get_all()
    if not tables:
        raise ConfigurationError(f"--lexicon {SPACY}: {PACKAGE} is not installed; right: pip install {PACKAGE}")
    code = language.partition("-")[0]
    languages = sorted(other for other, names in tables.items() if "lemma_index" in names)
    if code not in languages:
        fault = f"{PACKAGE} has no parts of speech of the language {language!r}"
        right = f"one of {', '.join(languages)}, or --lexicon FILE"
        raise ConfigurationError(f"--lexicon {SPACY}: {fault}; right: {right}")
    kinds = _by_word(_pairs({name: load_language_data(path) for name, path in tables[code].items() if "lemma" in name}))
    content = "".join(f"{word}\t{kind}\n" for word in sorted(kinds) for kind in kinds[word])
    origin = DataSource(
        name=f"{PACKAGE}, {code}",
        address=f"pkg:pypi/{PACKAGE}@{version(PACKAGE)}",
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        licence="MIT; of its tables, see the package",
    )
    return Lexicon(kinds, origin)


def _pairs(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yields words and parts of speech of spaCy's tables for lemmatizers.

    They list lemmas, and irregular forms, by part of speech. Of other forms they have the lemmas alone: such a form is
    of its lemma's part of speech, marked "inflected".
    """
    listed = set()
    of_lemma: defaultdict[str, list[str]] = defaultdict(list)
    for name in ("lemma_index", "lemma_exc"):
        for kind, words in tables.get(name, {}).items():
            for word in words:
                yield word, kind
                listed.add(word.lower())
                if name == "lemma_index":
                    of_lemma[word].append(kind)
    for form, lemmas in tables.get("lemma_lookup", {}).items():
        if form.lower() not in listed:
            for lemma in [lemmas] if isinstance(lemmas, str) else lemmas:
                for kind in of_lemma[lemma]:
                    yield form, f"{kind}, inflected"


def _by_word(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for word, kind in pairs:
        kinds[word.lower()].add(kind)
    return {word: tuple(sorted(of_word)) for word, of_word in kinds.items()}
