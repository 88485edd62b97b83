"""Tokenizing and sentence splitting, scored from raw text as in the CoNLL 2018 shared task.

The tokenizer's spans of characters are compared with the treebank's: F1 is `2 right / (treebank + system)`. A multiword
token ("don't") is one token and several words. A word is right that has the same span and form, small and capital
letters being equal; words that are not parts of the text ("de" and "le" of "du") have the span of their token. The
shared task aligns words within a multiword token, which is the same unless it has a word twice.

Zeman et al. (2018), CoNLL 2018 Shared Task: Multilingual Parsing from Raw Text to Universal Dependencies.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import spacy

from service.text.segmenter import Segmenter
from service.text.tokenizer import Tokenizer
from service.text.tokens import SentenceSpan, TokenSpan
from training.data import corpora, treebank
from training.data.treebank import PARAGRAPH, raw_text

TokenKey = tuple[int, int]
WordKey = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Scores:
    """F1 in percent."""

    tokens: float
    sentences: float
    words: float


def score(gold: Sequence[SentenceSpan], system: Sequence[SentenceSpan]) -> Scores:
    """Compares the sentences of a system with the treebank's, on the same text."""
    return Scores(
        tokens=_f1(_tokens(gold), _tokens(system)),
        sentences=_f1({(s.start, s.end) for s in gold}, {(s.start, s.end) for s in system}),
        words=_f1(_words(gold), _words(system)),
    )


def _words(sentences: Iterable[SentenceSpan]) -> set[WordKey]:
    return {word_key(word) for sentence in sentences for word in sentence.tokens}


def word_key(word: TokenSpan) -> WordKey:
    """Returns what equal words of two segmentations of a text have in common."""
    return word.start, word.end, word.text.lower()


def _tokens(sentences: Iterable[SentenceSpan]) -> set[TokenKey]:
    spans: list[TokenKey] = []
    for sentence in sentences:
        for word in sentence.tokens:
            start = spans.pop()[0] if word.continues else word.start
            spans.append((start, word.end))
    return set(spans)


def _f1(gold: set[Any], system: set[Any]) -> float:
    return 100 * 2 * len(gold & system) / (len(gold) + len(system))


def spacy_alone(text: str) -> list[SentenceSpan]:
    """Splits a text by spaCy's blank English pipeline with its sentencizer, paragraph by paragraph, as a baseline."""
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    sentences = []
    start = 0
    for paragraph in text.split(PARAGRAPH):
        for sentence in pipeline(paragraph).sents:
            words = [word for word in sentence if not word.is_space]
            tokens = tuple(TokenSpan(word.text, start + word.idx, start + word.idx + len(word)) for word in words)
            sentences.append(SentenceSpan(tokens[0].start, tokens[-1].end, tokens))
        start += len(paragraph) + len(PARAGRAPH)
    return sentences


def report(segmenter: Segmenter | None) -> None:
    """Prints the scores on EWT's dev and test splits of the rules, with and without a segmenter, and of spaCy alone."""
    ways = {"rules": Tokenizer().sentences, "spaCy alone": spacy_alone}
    if segmenter is not None:
        ways = {"tagger-en": Tokenizer(segmenter=segmenter).sentences, **ways}
    print("F1, EWT raw text           tokens  sentences  words")
    for part in ("dev", "test"):
        text, gold = raw_text(treebank.read(corpora.read("ewt", part)))
        for name, split in ways.items():
            scores = score(gold, split(text))
            print(f"{part:5}{name:22}{scores.tokens:6.2f}  {scores.sentences:9.2f}  {scores.words:5.2f}")
