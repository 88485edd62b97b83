"""How well raw text is cut into tokens, sentences and words, as the CoNLL 2018 shared task scores it.

The text of a part of the treebank is put together from its sentences: a blank line where a paragraph or a document
begins (`# newpar`, `# newdoc`), else a space, or nothing where the last token says `SpaceAfter=No`. What the tokenizer
makes of it is compared with what the treebank has by spans of characters: F1 is `2 right / (treebank + system)`. A
multiword token ("don't") is one token and several words. Every word of this treebank is a piece of the text, so that
the shared task's alignment of words within multiword tokens comes down to equal spans, too.

Zeman et al. (2018), CoNLL 2018 Shared Task: Multilingual Parsing from Raw Text to Universal Dependencies.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import spacy

from service.text.spacy_tokenizer import SpacyTokenizer
from service.text.tokenizer import Sentence, Token
from training import corpora

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
    space = ""  # what the text has before the next token
    for block in filter(None, conllu.split("\n\n")):
        if sentences and any(line.startswith(("# newpar", "# newdoc")) for line in block.split("\n")):
            space = PARAGRAPH
        tokens = []
        for forms, space_after in _surface(block):
            parts.append(space)
            position += len(space)
            for i, form in enumerate(forms):
                tokens.append(Token(form, position, position + len(form), continues=i > 0))
                parts.append(form)
                position += len(form)
            space = " " if space_after else ""
        sentences.append(Sentence(tokens[0].start, tokens[-1].end, tuple(tokens)))
    return "".join(parts), sentences


def _surface(block: str) -> Iterator[tuple[list[str], bool]]:
    """Yields the tokens of a sentence: the forms of the words of each, and whether a space follows."""
    rows = [line.split("\t") for line in block.split("\n") if line[:1].isdecimal()]
    words = {row[0]: row[1] for row in rows}
    last = 0  # the last word of the multiword token that was yielded
    for row in rows:
        space_after = "SpaceAfter=No" not in row[9].split("|")
        if "-" in row[0]:
            first, last = map(int, row[0].split("-"))
            yield [words[str(i)] for i in range(first, last + 1)], space_after
        elif row[0].isdecimal() and int(row[0]) > last:
            yield [row[1]], space_after


def score(gold: Sequence[Sentence], system: Sequence[Sentence]) -> Scores:
    """Compares two ways of cutting the same text."""
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
    """spaCy's blank English pipeline with its sentencizer, to compare with; takes a text paragraph by paragraph."""

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
    """Prints the scores on EWT's dev and test parts, and how fast the tokenizer is on each."""
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
    """Returns the mean time that a sentence of the dev part takes, alone, the second time."""
    text, gold = read_gold(corpora.read("ewt", "dev"))
    texts = [text[sentence.start : sentence.end] for sentence in gold]
    split = SpacyTokenizer().sentences
    for _ in range(2):
        began = time.process_time()
        for sentence in texts:
            split(sentence)
        seconds = time.process_time() - began
    return seconds / len(texts)
