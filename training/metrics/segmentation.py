"""Tokenizing and sentence splitting, scored from raw text as in the CoNLL 2018 shared task.

The tokenizer's spans of characters are compared with the treebank's: F1 is `2 right / (treebank + system)`. A multiword
token ("don't") is one token and several words. A word is right that has the same span and form, small and capital
letters being equal; those that are not parts of the text ("de" and "le" of "du") have the span of their token. The
shared task aligns words within a multiword token, which is the same unless it has a word twice.

Zeman et al. (2018), CoNLL 2018 Shared Task: Multilingual Parsing from Raw Text to Universal Dependencies.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import spacy

from service.text.learned_tokenizer import LearnedTokenizer
from service.text.segmenter import Segmenter
from service.text.spacy_tokenizer import SpacyTokenizer
from service.text.tokenizer import Sentence, Token
from training.data import corpora, treebank
from training.data.treebank import PARAGRAPH, raw_text

Span = tuple[int, int]
Word = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Scores:
    """F1 in percent."""

    tokens: float
    sentences: float
    words: float


def score(gold: Sequence[Sentence], system: Sequence[Sentence]) -> Scores:
    """Compares the sentences of a system with those of the treebank, on the same text."""
    return Scores(
        tokens=_f1(_tokens(gold), _tokens(system)),
        sentences=_f1({(s.start, s.end) for s in gold}, {(s.start, s.end) for s in system}),
        words=_f1(_words(gold), _words(system)),
    )


def _words(sentences: Iterable[Sentence]) -> set[Word]:
    return {word_key(word) for sentence in sentences for word in sentence.tokens}


def word_key(word: Token) -> Word:
    """Returns what equal words of two segmentations of a text have in common."""
    return word.start, word.end, word.text.lower()


def _tokens(sentences: Iterable[Sentence]) -> set[Span]:
    spans: list[Span] = []
    for sentence in sentences:
        for word in sentence.tokens:
            start = spans.pop()[0] if word.continues else word.start
            spans.append((start, word.end))
    return set(spans)


def _f1(gold: set[Any], system: set[Any]) -> float:
    return 100 * 2 * len(gold & system) / (len(gold) + len(system))


class Splitter(Protocol):
    """Splits a text into sentences of tokens."""

    def sentences(self, text: str) -> list[Sentence]:
        """Splits a text, in one go."""


class SpacyAlone:
    """spaCy's blank English pipeline with its sentencizer, as a baseline; reads a text paragraph by paragraph."""

    def __init__(self) -> None:
        self._nlp = spacy.blank("en")
        self._nlp.add_pipe("sentencizer")

    def sentences(self, text: str) -> list[Sentence]:
        sentences = []
        start = 0
        for paragraph in text.split(PARAGRAPH):
            for sentence in self._nlp(paragraph).sents:
                words = [word for word in sentence if not word.is_space]
                tokens = tuple(Token(word.text, start + word.idx, start + word.idx + len(word)) for word in words)
                sentences.append(Sentence(tokens[0].start, tokens[-1].end, tokens))
            start += len(paragraph) + len(PARAGRAPH)
        return sentences


def report(segmenter: Segmenter | None) -> None:
    """Prints the scores on EWT's dev and test parts, and the speed on each, of the rules and of a segmenter."""
    tokenizers: dict[str, Splitter] = {"rules": SpacyTokenizer(), "spaCy alone": SpacyAlone()}
    if segmenter is not None:
        tokenizers = {"tagger-en": LearnedTokenizer(SpacyTokenizer(), segmenter), **tokenizers}
    print("F1, EWT raw text           tokens  sentences  words  characters/s of CPU")
    for part in ("dev", "test"):
        text, gold = raw_text(treebank.read(corpora.read("ewt", part)))
        for name, tokenizer in tokenizers.items():
            began = time.process_time()
            system = tokenizer.sentences(text)
            speed = len(text) / (time.process_time() - began)
            scores = score(gold, system)
            figures = f"{scores.tokens:6.2f}  {scores.sentences:9.2f}  {scores.words:5.2f}  {speed:12,.0f}"
            print(f"{part:5}{name:22}{figures}")
    for name in list(tokenizers)[:-1]:
        seconds = _seconds_per_sentence(tokenizers[name])
        print(f"One sentence of dev whose words have been seen, {name}: {seconds * 1e6:.0f} µs on average")


def _seconds_per_sentence(tokenizer: Splitter) -> float:
    """Returns the mean time of a sentence of the dev part alone, when its words are cached."""
    text, gold = raw_text(treebank.read(corpora.read("ewt", "dev")))
    texts = [text[sentence.start : sentence.end] for sentence in gold]
    passes = []
    for _ in range(6):
        began = time.process_time()
        for sentence in texts:
            tokenizer.sentences(sentence)
        passes.append(time.process_time() - began)
    return min(passes) / len(texts)
