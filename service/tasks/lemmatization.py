"""Lemmas of tagged words: from the dictionary, from earlier predictions, or predicted by the engine.

A word's lemma depends on its form and tags alone, so each is predicted once.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from service.artifact.version import ModelVersion
from service.tasks.tagging import Tag
from service.text import lemmas
from service.text.conllu import write_features
from service.text.lemmas import Inflected, LemmaDictionary
from service.text.tokenizer import Token
from service.types import Ragged, Tensors

OUTPUTS = frozenset({"edit", "lemma_ids"})
CACHED_WORDS = 16_384  # at most 10 MB if the model reads 40 symbols of each
SEEN_WORDS = 8192  # of the dictionary; 2 MB at most
LONGEST_SEEN = 32  # characters


class Lemmatization:
    """Encodes words for a lemmatizer, decodes its outputs, and caches them.

    Attributes:
        longest: number of symbols that the model reads; a longer word is its own lemma, as in training.
    """

    def __init__(self, version: ModelVersion) -> None:
        self.version = version
        self.longest = version.manifest.length_buckets[-1]
        self._find = (version.dictionary or LemmaDictionary({})).find
        self._symbols = version.vocabularies["symbols"]
        self._cache: dict[Inflected, str] = {}  # in order of last use
        self._seen: dict[tuple[str, str, str], str] = {}  # by form, UPOS and XPOS: lemmas that the dictionary has

    def suits(self, tagger: ModelVersion) -> bool:
        """Returns whether this lemmatizer was trained with a tagger's tags: same language, same corpus."""
        ours, theirs = self.version.manifest, tagger.manifest
        return ours.language == theirs.language and not set(ours.data).isdisjoint(theirs.data)

    def known(self, tokens: Sequence[Token], tags: Sequence[Tag]) -> list[str | Inflected]:
        """Returns the lemma of each token if it is known; otherwise the key to predict it by."""
        seen = self._seen.get
        found: list[Any] = [seen((token[0], tag[0], tag[1])) for token, tag in zip(tokens, tags, strict=True)]
        if None in found:
            for i, lemma in enumerate(found):
                if lemma is None:
                    found[i] = self._look_up(tokens[i].text, tags[i])
        return found

    def _look_up(self, form: str, tag: Tag) -> str | Inflected:
        lemma = self._find(form, tag.upos, tag.xpos)
        if lemma is not None:
            if len(form) <= LONGEST_SEEN:
                if len(self._seen) >= SEEN_WORDS:
                    self._seen.clear()
                self._seen[form, tag.upos, tag.xpos] = lemma
            return lemma
        # Strings are shared between cached words: there are only as many features as the tagger has labels.
        word = Inflected(form, tag.upos, tag.xpos, sys.intern(write_features(tag.feats)))
        if (lemma := self._cache.pop(word, None)) is None:
            return word
        self._cache[word] = lemma
        return lemma

    def encode(self, words: Iterable[Inflected]) -> Ragged:
        """Returns the inputs of words: symbol_ids [T] of each."""
        return Ragged.of([{"symbol_ids": lemmas.encode(word, self._symbols)} for word in words])

    def decode(self, words: Sequence[Inflected], lengths: Sequence[int], outputs: Tensors) -> list[str]:
        """Returns the lemmas of words from the outputs for them, and caches them.

        lengths: how many symbols were read of each word; outputs: edit [N], lemma_ids [sum of lengths].
        """
        ids = outputs["lemma_ids"].tolist()
        found = []
        start = 0
        for word, length, edit in zip(words, lengths, outputs["edit"].tolist(), strict=True):
            found.append(lemmas.decode(word.form, edit, ids[start : start + length], self._symbols))
            self.cache(word, found[-1])
            start += length
        return found

    def cache(self, word: Inflected, lemma: str) -> None:
        """Caches a lemma, evicting the least recently used one."""
        if len(self._cache) >= CACHED_WORDS:
            del self._cache[next(iter(self._cache))]
        self._cache[word] = lemma
