"""Lemmas of tagged words: those of the dictionary, those that were asked for before, and what is left for the engine.

What the lemma of a word is depends on its form and its tags alone, so it is asked for once.
"""

import sys
from collections.abc import Iterable, Sequence

from service.artifact.version import ModelVersion
from service.tasks.tagging import Tag
from service.text import lemmas
from service.text.conllu import write_features
from service.text.lemmas import Inflected, LemmaDictionary
from service.types import Ragged, Tensors

OUTPUTS = frozenset({"edit", "lemma_ids"})
REMEMBERED_WORDS = 16_384  # 10 MB at most where the network reads 40 symbols of each


class Lemmatization:
    """Encodes words for one lemmatizer, decodes its outputs, and remembers them.

    Attributes:
        longest: symbols that the network reads; a word of more is its own lemma, as in training.
    """

    def __init__(self, version: ModelVersion) -> None:
        self.version = version
        self.longest = version.manifest.length_buckets[-1]
        self._find = (version.dictionary or LemmaDictionary({})).find
        self._symbols = version.vocabularies["symbols"]
        self._remembered: dict[Inflected, str] = {}  # the one that was used last is the last

    def suits(self, tagger: ModelVersion) -> bool:
        """Says whether this lemmatizer has learnt the tags of a tagger: of the same language, on the same corpus."""
        ours, theirs = self.version.manifest, tagger.manifest
        return ours.language == theirs.language and not set(ours.data).isdisjoint(theirs.data)

    def known(self, form: str, tag: Tag) -> str | Inflected:
        """Returns the lemma of a word, or the word as it is to be asked for."""
        lemma = self._find(form, tag.upos, tag.xpos)
        if lemma is not None:
            return lemma
        # There are as many features as the tagger has labels: words that are remembered share the strings.
        word = Inflected(form, tag.upos, tag.xpos, sys.intern(write_features(tag.feats)))
        if (lemma := self._remembered.pop(word, None)) is None:
            return word
        self._remembered[word] = lemma
        return lemma

    def encode(self, words: Iterable[Inflected]) -> Ragged:
        """Returns the inputs of words: symbol_ids [T] of each."""
        return Ragged.of([{"symbol_ids": lemmas.encode(word, self._symbols)} for word in words])

    def decode(self, words: Sequence[Inflected], lengths: Sequence[int], outputs: Tensors) -> list[str]:
        """Returns the lemmas of words from the outputs for them, and remembers them.

        lengths: how many symbols were read of each word; outputs: edit [N], lemma_ids [sum of lengths].
        """
        ids = outputs["lemma_ids"].tolist()
        found = []
        start = 0
        for word, length, edit in zip(words, lengths, outputs["edit"].tolist(), strict=True):
            found.append(lemmas.decode(word.form, edit, ids[start : start + length], self._symbols))
            self.remember(word, found[-1])
            start += length
        return found

    def remember(self, word: Inflected, lemma: str) -> None:
        """Keeps a lemma, in the place of the one that was not used for the longest time."""
        if len(self._remembered) >= REMEMBERED_WORDS:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[word] = lemma
