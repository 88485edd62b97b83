"""A lexicon: words, what each of them may be, and its lemmas."""

import csv
import gzip
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from spacy.util import load_language_data, registry

from service.artifact.manifest import DataSource
from service.errors import ConfigurationError
from training.data.corpora import source
from training.data.files import DataFileError, read_text
from training.data.packages import Package

PACKAGE = "spacy-lookups-data"
SPACY = "spacy"  # the name of its lexicons on the command line
LEMMINFLECT = Package(
    "lemminflect",
    "0.2.3",
    "lemminflect",
    "words of the SPECIALIST Lexicon of English",
    "MIT; the SPECIALIST Lexicon of the National Library of Medicine is free, with acknowledgement",
)
MOST_CLASSES = 10_000
INFLECTED = ", inflected"  # behind a part of speech of a form that is known of its lemma alone


@dataclass(frozen=True)
class Lexicon:
    """Words, what each of them may be, and its lemma as that.

    Attributes:
        kinds: by word in lower case, the sorted names of what it may be.
        lemmas: by word in lower case and one of these names.
        source: for the model card.
    """

    kinds: Mapping[str, tuple[str, ...]]
    source: DataSource
    lemmas: Mapping[tuple[str, str], str] = field(default_factory=dict)


class LexiconEntry(NamedTuple):
    """A word, what it may be, and its lemma as that; "" where that is not said."""

    word: str
    kind: str
    lemma: str = ""


def read(path: Path, licence: str) -> Lexicon:
    """Reads a lexicon: in each line a word, what it may be, and, if that is known, its lemma, with tabs between them.

    A word that may be several things has a line for each. Raises DataFileError.
    """
    entries = []
    for number, line in enumerate(read_text(path).removesuffix("\n").split("\n"), start=1):
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) not in (2, 3) or not all(columns):
            right = "a word, a tab, and what the word may be, such as noun; and a tab and its lemma, if you have it"
            raise DataFileError(path, number, repr(line[:80]), right)
        entries.append(LexiconEntry(*columns))
    kinds, lemmas = _by_word(entries)
    if (classes := len(set(kinds.values()))) > MOST_CLASSES:
        fault = f"{classes:,} different combinations of what a word may be"
        raise DataFileError(path, None, fault, f"{MOST_CLASSES:,} at most, such as of parts of speech")
    return Lexicon(kinds, source(path, licence), lemmas)


def of_spacy(language: str) -> Lexicon:
    """Returns the words of spacy-lookups-data with their parts of speech and lemmas.

    Raises ConfigurationError where it is not installed or lacks the language.
    """
    tables = _spacy_tables()
    code = language.partition("-")[0]
    languages = sorted(other for other, names in tables.items() if "lemma_index" in names)
    if code not in languages:
        fault = f"{PACKAGE} has no parts of speech of the language {language!r}"
        right = f"one of {', '.join(languages)}, or --lexicon FILE"
        raise ConfigurationError(f"--lexicon {SPACY}: {fault}; right: {right}")
    names = ("lemma_index", "lemma_exc", "lemma_lookup")
    found = {name: load_language_data(tables[code][name]) for name in names if name in tables[code]}
    kinds, lemmas = _by_word(_entries(found))
    content = "".join(f"{word}\t{kind}\n" for word in sorted(kinds) for kind in kinds[word])
    return Lexicon(kinds, _spacy_source(code, content), lemmas)


def lemmas_of_spacy(language: str, part_of_speech: Callable[[Sequence[str]], Sequence[str]]) -> Lexicon:
    """Returns the words of spacy-lookups-data with their lemmas.

    part_of_speech: returns each form's part of speech, for a language where the package says none.

    Raises ConfigurationError where it is not installed or lacks the language.
    """
    names = _spacy_tables().get(language, {})
    if "lemma_index" in names or "lemma_lookup" not in names:
        return of_spacy(language)
    table, source = forms_of_spacy(language)
    forms = sorted(table)
    kinds, lemmas = _by_word(map(LexiconEntry, forms, part_of_speech(forms), map(table.__getitem__, forms)))
    return Lexicon(kinds, source, lemmas)


def forms_of_spacy(language: str) -> tuple[Mapping[str, str], DataSource]:
    """Returns the lemmas of the forms that spacy-lookups-data has without parts of speech, and where they are from.

    Raises ConfigurationError where it is not installed.
    """
    listed = load_language_data(_spacy_tables()[language]["lemma_lookup"])
    table = {form: lemma for form, lemma in listed.items() if form.replace("-", "").isalpha()}
    return table, _spacy_source(language, "".join(f"{form}\t{table[form]}\n" for form in sorted(table)))


def _spacy_tables() -> Mapping[str, Mapping[str, Any]]:
    tables: Mapping[str, Mapping[str, Any]] = registry.lookups.get_all()
    if tables:
        return tables
    raise ConfigurationError(f"--lexicon {SPACY}: {PACKAGE} is not installed; right: pip install {PACKAGE}")


def _spacy_source(language: str, content: str) -> DataSource:
    return DataSource(
        name=f"{PACKAGE}, {language}",
        address=f"pkg:pypi/{PACKAGE}@{version(PACKAGE)}",
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        licence="MIT; of its tables, see the package",
    )


def of_lemminflect() -> Lexicon:
    """Returns the English words of the package lemminflect. Raises ConfigurationError where it is not installed."""
    content, source = LEMMINFLECT.read("resources/lemma_lu.csv.gz")
    rows = csv.reader(gzip.decompress(content).decode().splitlines())
    kinds, lemmas = _by_word(LexiconEntry(word, kind, lemma.split("/")[0]) for word, kind, lemma in rows)
    return Lexicon(kinds, source, lemmas)


def _entries(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[LexiconEntry]:
    """Yields words, parts of speech and lemmas of spaCy's tables for lemmatizers.

    They list irregular forms, and lemmas, by part of speech. Of other forms they have the lemmas alone: such a form is
    of its lemma's part of speech, marked "inflected".
    """
    listed = set()
    of_lemma: defaultdict[str, list[str]] = defaultdict(list)
    for kind, words in tables["lemma_index"].items():
        for word in words:
            yield LexiconEntry(word, kind, word)
            listed.add(word.lower())
            of_lemma[word].append(kind)
    for kind, forms in tables.get("lemma_exc", {}).items():
        for form, lemmas in forms.items():
            yield LexiconEntry(form, kind, lemmas[0])
            listed.add(form.lower())
    for form, lemmas in tables.get("lemma_lookup", {}).items():
        if form.lower() not in listed:
            for lemma in [lemmas] if isinstance(lemmas, str) else lemmas:
                for kind in of_lemma[lemma]:
                    yield LexiconEntry(form, f"{kind}{INFLECTED}", lemma)


def _by_word(entries: Iterable[LexiconEntry]) -> tuple[dict[str, tuple[str, ...]], dict[tuple[str, str], str]]:
    """Returns the kinds and the lemmas of a lexicon. Of several lemmas of a word as the same, the last counts."""
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    lemmas: dict[tuple[str, str], str] = {}
    for word, kind, lemma in entries:
        kinds[word.lower()].add(kind)
        if lemma:
            lemmas[word.lower(), kind.removesuffix(INFLECTED)] = lemma
    return {word: tuple(sorted(of_word)) for word, of_word in kinds.items()}, lemmas
