"""Lemmas of tagged words: those of the dictionary, those that were asked for before, and what is left for the engine.

What the lemma of a word is depends on its form and its tags alone, so it is asked for once.
"""

from collections.abc import Mapping

from service.engine.padding import Array, Tensors
from service.registry import ModelVersion
from service.tasks.tagging import Tag
from service.text import lemmas
from service.text.conllu import write_features
from service.text.lemmas import Inflected, LemmaDictionary

OUTPUTS = frozenset({"edit", "lemma_ids"})
REMEMBERED_WORDS = 16_384  # each takes about 500 bytes


class Lemmatization:
    """Encodes words for one lemmatizer, decodes its outputs, and remembers them.

    Attributes:
        longest: symbols that the network reads; a word of more is its own lemma, as in training.
    """

    def __init__(self, version: ModelVersion) -> None:
        self.version = version
        self.longest = version.manifest.length_buckets[-1]
        self._dictionary = version.dictionary or LemmaDictionary({})
        self._symbols = version.vocabularies["symbols"]
        self._remembered: dict[Inflected, str] = {}  # the one that was used last is the last

    def suits(self, tagger: ModelVersion) -> bool:
        """Says whether this lemmatizer has learnt the tags of a tagger: of the same language, on the same corpus."""
        ours, theirs = self.version.manifest, tagger.manifest
        return ours.language == theirs.language and not set(ours.data).isdisjoint(theirs.data)

    def known(self, form: str, tag: Tag) -> str | Inflected:
        """Returns the lemma of a word, or the word as it is to be asked for."""
        lemma = self._dictionary.find(form, tag.upos, tag.xpos)
        if lemma is not None:
            return lemma
        word = Inflected(form, tag.upos, tag.xpos, write_features(tag.feats))
        if (lemma := self._remembered.pop(word, None)) is None:
            return word
        self._remembered[word] = lemma
        return lemma

    def encode(self, word: Inflected) -> Tensors:
        """Returns the inputs of one word: symbol_ids [T]."""
        return {"symbol_ids": lemmas.encode(word, self._symbols)}

    def decode(self, word: Inflected, output: Mapping[str, Array]) -> str:
        """Returns the lemma of a word from the outputs for it, and remembers it."""
        lemma = lemmas.decode(word.form, int(output["edit"]), output["lemma_ids"].tolist(), self._symbols)
        self.remember(word, lemma)
        return lemma

    def remember(self, word: Inflected, lemma: str) -> None:
        """Keeps a lemma, in the place of the one that was not used for the longest time."""
        if len(self._remembered) >= REMEMBERED_WORDS:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[word] = lemma
