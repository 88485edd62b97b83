"""Tags texts, or tokens: splits, encodes, infers, decodes, lemmatizes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.artifact.version import ModelVersion
from service.pipelines.lemmas import lemmas_of
from service.pipelines.run import PipelineRun
from service.slices import TEXTS_AT_ONCE, Sliced
from service.tasks.tagging import TOKENS_AT_ONCE, Candidates, Tag, Tagging
from service.text.tokenizer import Sentence, Token, Tokenizer
from service.types import Array


class SplitText(NamedTuple):
    """A text and its sentences."""

    text: str
    sentences: Sequence[Sentence]


@dataclass(frozen=True, slots=True)
class TaggedText:
    """A text, its sentences, and the tags of their tokens; lemmas and next best tags on request."""

    text: str
    sentences: Sequence[Sentence]
    tags: Sequence[Sequence[Tag]]
    lemmas: Sequence[Sequence[str]] | None = None
    candidates: Sequence[Candidates] | None = None


async def tag(
    run: PipelineRun,
    texts: Sequence[str] | None = None,
    *,
    tokens: Sequence[Sequence[str]] = (),
    model: str | None = None,
    language: str | None = None,
    lemmas: bool = True,
    candidates: bool = False,
) -> tuple[ModelVersion, list[TaggedText]]:
    """Splits texts into sentences and tokens, and tags each token; or tags given tokens, one list per sentence.

    Without a model, the tagger is one of `language`, or the default. Returns its version, and a result per text or
    sentence. `lemmas` are None if there is no lemmatizer for the tagger.

    Raises ModelNotFound, TooLarge, and what `Engine.infer` raises.
    """
    task = run.resources.catalog.find(Tagging, model, language)
    began = time.monotonic()
    if texts is not None:
        run.check_size("text", texts, len)
        split = await run.do(split_texts(run.resources.catalog.tokenizer(task.version), texts))
    else:
        run.check_size("tokens", tokens, lambda words: sum(map(len, words)) + len(words) - 1)
        split = await run.do(joined_tokens(tokens))
    sentences = [sentence for text in split for sentence in text.sentences]
    sequences = await run.do(task.encode([token.text for token in sentence.tokens] for sentence in sentences))
    run.tokenized(task.version, began)
    outputs: dict[str, Array] = {}
    if sentences:
        further = task.candidate_outputs if candidates else frozenset[str]()
        outputs = await run.infer(task.version, sequences, further)
    lengths = [len(sentence.tokens) for sentence in sentences]
    tags = await run.do(task.decode(lengths, outputs))
    next_best = await run.do(task.candidates(lengths, outputs)) if candidates else None
    found = await lemmas_of(run, task, sentences, tags) if lemmas else None
    results: list[TaggedText] = []
    end = 0  # of the text's sentences
    for text in split:
        start, end = end, end + len(text.sentences)
        of_text = slice(start, end)
        results.append(TaggedText(*text, tags[of_text], found and found[of_text], next_best and next_best[of_text]))
    return task.version, results


def split_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> Sliced[list[SplitText]]:
    """Splits texts into sentences."""
    split: list[SplitText] = []
    for text in texts:
        split.append(SplitText(text, (yield from tokenizer.split(text))))
        if not len(split) % TEXTS_AT_ONCE:
            yield
    return split


def joined_tokens(sentences: Sequence[Sequence[str]]) -> Sliced[list[SplitText]]:
    """Returns each list of tokens as one sentence of the text made by joining them with spaces."""
    split: list[SplitText] = []
    for tokens in sentences:
        placed: list[Token] = []
        start = 0
        for token in tokens:
            placed.append(Token(token, start, start + len(token)))
            start += len(token) + 1
            if not len(placed) % TOKENS_AT_ONCE:
                yield
        split.append(SplitText(" ".join(tokens), [Sentence(0, start - 1, tuple(placed))]))
    return split
