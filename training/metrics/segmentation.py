"""Tokenizing and sentence splitting, scored from raw text as in the CoNLL 2018 shared task.

The text of a part of the treebank is reconstructed from its sentences: a blank line where a paragraph or a document
starts (`# newpar`, `# newdoc`), otherwise a space, or nothing where the last token has `SpaceAfter=No`. The tokenizer's
spans of characters are compared with the treebank's: F1 is `2 right / (treebank + system)`. A multiword token ("don't")
is one token and several words. In this treebank every word is a part of the text, so the shared task's alignment of
words within multiword tokens is the same as equal spans.

Zeman et al. (2018), CoNLL 2018 Shared Task: Multilingual Parsing from Raw Text to Universal Dependencies.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import spacy
from conllu import TokenList

from service.text.spacy_tokenizer import SpacyTokenizer
from service.text.tokenizer import Sentence, Token
from training.data import corpora, treebank

Span = tuple[int, int]
PARAGRAPH = "\n\n"


@dataclass(frozen=True, slots=True)
class Scores:
    """F1 in percent."""

    tokens: float
    sentences: float
    words: float


def read_gold(conllu: str) -> tuple[str, list[Sentence]]:
    """Returns the raw text of a CoNLL-U file and its sentences, with their offsets in that text."""
    parts: list[str] = []
    position = 0
    sentences: list[Sentence] = []
    space = ""  # before the next token
    for parsed in treebank.parse(conllu):
        if sentences and any(key.startswith(("newpar", "newdoc")) for key in parsed.metadata):
            space = PARAGRAPH
        tokens = []
        for forms, space_after in _surface_tokens(parsed):
            parts.append(space)
            position += len(space)
            for i, form in enumerate(forms):
                tokens.append(Token(form, position, position + len(form), continues=i > 0))
                parts.append(form)
                position += len(form)
            space = " " if space_after else ""
        sentences.append(Sentence(tokens[0].start, tokens[-1].end, tuple(tokens)))
    return "".join(parts), sentences


def _surface_tokens(sentence: TokenList) -> Iterator[tuple[list[str], bool]]:
    """Yields the tokens of a sentence: the forms of the words of each, and whether a space follows."""
    words = {row["id"]: row["form"] for row in sentence if isinstance(row["id"], int)}
    last = 0  # the last word of the multiword token before
    for row in sentence:
        space_after = (row["misc"] or {}).get("SpaceAfter") != "No"
        match row["id"]:
            case (int(first), "-", int(last)):
                yield [words[i] for i in range(first, last + 1)], space_after
            case int(number) if number > last:
                yield [row["form"]], space_after


def score(gold: Sequence[Sentence], system: Sequence[Sentence]) -> Scores:
    """Compares the sentences of a system with those of the treebank, on the same text."""
    return Scores(
        tokens=_f1(_tokens(gold), _tokens(system)),
        sentences=_f1({(s.start, s.end) for s in gold}, {(s.start, s.end) for s in system}),
        words=_f1(_words(gold), _words(system)),
    )


def _words(sentences: Iterable[Sentence]) -> set[Span]:
    return {(word.start, word.end) for sentence in sentences for word in sentence.tokens}


def _tokens(sentences: Iterable[Sentence]) -> set[Span]:
    spans: list[Span] = []
    for sentence in sentences:
        for word in sentence.tokens:
            start = spans.pop()[0] if word.continues else word.start
            spans.append((start, word.end))
    return set(spans)


def _f1(gold: set[Span], system: set[Span]) -> float:
    return 100 * 2 * len(gold & system) / (len(gold) + len(system))


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


def report() -> None:
    """Prints the scores on EWT's dev and test parts, and the speed of the tokenizer on each."""
    print("F1, EWT raw text           tokens  sentences  words  characters/s of CPU")
    for part in ("dev", "test"):
        text, gold = read_gold(corpora.read("ewt", part))
        for name, tokenizer in (("service", SpacyTokenizer()), ("spaCy alone", SpacyAlone())):
            began = time.process_time()
            system = tokenizer.sentences(text)
            speed = len(text) / (time.process_time() - began)
            scores = score(gold, system)
            figures = f"{scores.tokens:6.2f}  {scores.sentences:9.2f}  {scores.words:5.2f}  {speed:12,.0f}"
            print(f"{part:5}{name:22}{figures}")
    print(f"One sentence of dev whose words have been seen, {_seconds_per_sentence() * 1e6:.0f} µs on average")


def _seconds_per_sentence() -> float:
    """Returns the mean time of a sentence of the dev part alone, when its words are cached."""
    text, gold = read_gold(corpora.read("ewt", "dev"))
    texts = [text[sentence.start : sentence.end] for sentence in gold]
    split = SpacyTokenizer().sentences
    for _ in range(2):
        began = time.process_time()
        for sentence in texts:
            split(sentence)
        seconds = time.process_time() - began
    return seconds / len(texts)
