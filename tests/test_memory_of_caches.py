"""The caches of the service are bounded in bytes: each is filled with its largest entries."""

import gc
import sys
from collections.abc import Iterable
from dataclasses import replace
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import pytest

from service.artifact.manifest import Endpoint, ModelVersion, TensorSpec
from service.tasks import tagging
from service.tasks.tagging import Tagging
from service.text import segmenter
from service.text import tokenizer as tokenizer_module
from service.text.interruptible import finish
from service.text.lemmatizer import LEMMA, NEXT_RULES, LemmaFile, Lemmatizer
from service.text.tokenizer import Tokenizer
from service.text.tokens import TokenSpan
from service.text.vocabulary import Vocabulary
from tests.conftest import ROOT
from tests.fakes import version_of

MB = 1_000_000
CODE = (type, FunctionType, MethodType, ModuleType)
CHARACTERS = 12  # of a token, that the committed tagger reads
IDS = 2000  # labels of a head: most ids are numbers that Python has not already
WIDER = "\u0390"  # its upper case is three characters
# Megabytes in docs/security.md, of each model: at most, however many requests there were, and whatever they held.
DOCUMENTED = {"tokenizer": 50, "shapes of words": 5, "tagger": 20, "lemmas": 14}


def wide(number: int, length: int) -> str:
    """Returns a string that takes as much memory as one of that length can, another for each number."""
    return "".join(chr(0x1F300 + (number >> 6 * place) % 64) for place in range(4)) + "\U0001f300" * (length - 4)


def distinct(number: int, length: int) -> str:
    """Returns a chunk of which each character is a token that no other part of the service holds."""
    return "".join(chr(0x1F300 + (number >> 5 * place) % 32 + 32 * (place % 7)) for place in range(length))


def bytes_of(roots: Iterable[Any]) -> int:
    """Returns the bytes of objects and all that they hold; each once.

    Functions and modules are left out: through a function's globals they hold whatever else the process has loaded.
    """
    seen: set[int] = set()
    waiting, size = list(roots), 0
    while waiting:
        found = waiting.pop()
        if id(found) not in seen and not isinstance(found, CODE):
            seen.add(id(found))
            size += sys.getsizeof(found)  # what the collector needs of it included
            waiting += gc.get_referents(found)
    return size


def tokenizer(count: int) -> list[Any]:
    made = Tokenizer()
    for number in range(count):
        made.tokens(distinct(number, tokenizer_module.LONGEST_CACHED))
        made.tokens(distinct(number, tokenizer_module.LONGEST_CACHED + 1))
        finish(made.words(distinct(number, tokenizer_module.LONGEST_CACHED)))  # has the same cache
    return [made._cached_split]


def shapes(count: int) -> list[Any]:
    segmenter._cached_word.cache_clear()
    for number in range(count):
        segmenter._word_of(wide(number, segmenter.LONGEST_CACHED))
    return [segmenter._cached_word]


def version_of_tagger(**changes: Any) -> ModelVersion:
    ids = TensorSpec(dtype="int32", axes=("B", "T"))
    letters = TensorSpec(dtype="int32", axes=("B", "T", CHARACTERS))
    endpoint = Endpoint(inputs={"word_ids": ids, "char_ids": letters}, outputs={})
    labels = {"upos": ("X",) * IDS, "xpos": ("X",), "feats": ("_",) * IDS}
    version = version_of("tagger", endpoints={"tag": endpoint}, labels=labels)
    return replace(version, vocabularies={"words": Vocabulary(["a"]), "characters": Vocabulary(["a"])}, **changes)


def tagger(count: int) -> list[Any]:
    task = Tagging(version_of_tagger(), 128)
    for number in range(count):
        finish(task.encode([[wide(number, tagging.LONGEST_CACHED), wide(number, 200)]]))
    finish(task.encode([["x" * 200_000]]))
    return [task._cached_encode]


def lemmas(count: int) -> list[Any]:
    """Fills the cache with the longest lemmas: in upper case, a character is three. Each id is a number of its own."""
    task = Tagging(version_of_tagger(lemmatizer=Lemmatizer(["upper"] * IDS, LemmaFile("", {}, {}, {}))), 128)
    for number in range(count):
        forms = [wide(number, 4) + WIDER * (length - 4) for length in (tagging.LONGEST_CACHED, 200)]
        ids = np.full(len(forms), 300 + number % (IDS - 300), np.int32)
        outputs = {f"{name}_id": ids for name in ("upos", "feats", LEMMA)} | dict.fromkeys(NEXT_RULES, ids)
        outputs["xpos_id"] = np.zeros_like(ids)
        outputs |= {f"{head}_probability": np.ones(len(forms), np.float32) for head in ("upos", LEMMA)}
        (tags,) = finish(task.decode([[TokenSpan(form, 0, 0) for form in forms]], outputs, lemmas=True))
        assert tags[0].lemma == forms[0].upper()
    return [task._cached_lemma, task._cached_choice]


CACHES = {
    "tokenizer": (tokenizer, tokenizer_module, "CACHED_CHUNKS"),
    "shapes of words": (shapes, segmenter, "CACHED_WORDS"),
    "tagger": (tagger, tagging, "CACHED_TOKENS"),
    "lemmas": (lemmas, tagging, "CACHED_LEMMAS"),
}


@pytest.mark.parametrize("name", CACHES)
def test_a_cache_that_is_full_of_the_worst_takes_no_more_than_is_documented(name: str) -> None:
    fill, module, constant = CACHES[name]
    part = 16  # of the entries are enough: each takes as much as the others
    before = bytes_of(fill(0))
    size = (bytes_of(fill(getattr(module, constant) // part)) - before) * part
    assert DOCUMENTED[name] * MB / 2 < size <= DOCUMENTED[name] * MB


@pytest.mark.parametrize("name", CACHES)
def test_the_caches_keep_no_more_entries_than_that(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill, module, constant = CACHES[name]
    if name != "shapes of words":  # has its size from the import on
        monkeypatch.setattr(module, constant, 8)
    for cache in fill(50):
        assert cache.cache_info().maxsize == getattr(module, constant)


def test_the_figures_stand_in_the_documentation() -> None:
    text = (ROOT / "docs/security.md").read_text()
    assert f"{sum(DOCUMENTED.values())} MB" in text
    for name, megabytes in DOCUMENTED.items():
        assert any(name in line and f"{megabytes} MB" in line for line in text.splitlines())
