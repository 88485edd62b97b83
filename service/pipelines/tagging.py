"""Tags texts, or tokens: splits, encodes, infers, decodes."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from service.artifact.manifest import ModelVersion
from service.errors import InvalidInput
from service.pipelines.run import PipelineRun
from service.tasks.tagging import TOKENS_AT_ONCE, Candidates, Tag, Tagging, text_of, windows
from service.text.identifier import AUTO, UNDETERMINED, Identified, identifier
from service.text.interruptible import TEXTS_AT_ONCE, Interruptible, collect
from service.text.languages import primary
from service.text.symbols import has_symbol
from service.text.tokenizer import Tokenizer
from service.text.tokens import SentenceSpan, TokenSpan
from service.types import Array, Ragged, Tensors

TOKEN_BYTES = 170  # of an answer in JSON, of the shortest words
CANDIDATES_BYTES = 700  # of the next best tags of a token


class SplitText(NamedTuple):
    """A text and its sentences."""

    text: str
    sentences: Sequence[SentenceSpan]


class Identification(NamedTuple):
    """The language that a text is identified as, its probability, and the model version that has tagged the text."""

    language: str
    probability: float
    version: ModelVersion


@dataclass(frozen=True, slots=True)
class TaggedText:
    """A text, its sentences, and the tags of their tokens; on request next best tags, and the language of the text.

    `replaced` has, for each sentence, the indices of the tokens whose tags are from a dictionary, with the model's own.
    """

    text: str
    sentences: Sequence[SentenceSpan]
    tags: Sequence[Sequence[Tag]]
    candidates: Sequence[Candidates] | None = None
    identified: Identification | None = None
    replaced: Sequence[Mapping[int, Tag]] | None = None


async def tag(
    run: PipelineRun,
    texts: Sequence[str] | None = None,
    *,
    tokens: Sequence[Sequence[str]] = (),
    model: str | None = None,
    language: str | None = None,
    lemmas: bool = True,
    candidates: bool = False,
    known: Sequence[str | None] = (),
    identified: bool = False,
) -> tuple[ModelVersion, list[TaggedText]]:
    """Splits texts into sentences and tokens, and tags each token; or tags given tokens, one list per sentence.

    Without a model, the tagger is one of `language`, or the default. Returns its version, and a result per text or
    sentence. Tags have no lemmas if they are not wanted, or the tagger gives none.

    With AUTO as the language, each text is tagged by a model of the language that it is identified as; in languages
    without a model, by `model` if it is named. `known` has the languages that need not be identified. Returns the
    version for the first text. The metrics count the languages of texts, unless `language` has been `identified`.

    Raises ModelNotFound, TooLarge, and what `Engine.infer` raises; with AUTO also InvalidInput.
    """
    if language == AUTO:
        return await _tag_identified(run, texts, tokens, model, known, lemmas=lemmas, candidates=candidates)
    task = run.resources.catalog.find(Tagging, model, language)
    run.resources.engine.check_room(run.client)
    if texts is not None:
        size = run.check_size("text", texts, len)
    else:
        size = run.check_size("tokens", tokens, lambda words: sum(map(len, words)) + len(words) - 1)
    await run.begin(size)
    began = time.monotonic()
    tokenizer = run.resources.catalog.tokenizer(task.version)
    split, _, sequences = await run.do(encode(task, tokenizer, [(texts, tokens)]))
    run.tokenized(task, began, len(split))
    if language is not None and not identified:
        run.resources.metrics.languages.labels(task.version.manifest.language, "asked").inc(len(split))
    outputs: dict[str, Array] = {}
    if len(sequences):
        count = min(sequences.tokens, size)  # without what the windows of long sentences have in common
        await run.make_room(count * (TOKEN_BYTES + CANDIDATES_BYTES * candidates))
        extra_outputs = task.candidate_outputs if candidates else frozenset[str]()
        outputs = await run.infer(task.version, sequences, extra_outputs)
    return task.version, await run.do(decode(task, split, outputs, lemmas=lemmas, candidates=candidates))


async def _tag_identified(
    run: PipelineRun,
    texts: Sequence[str] | None,
    tokens: Sequence[Sequence[str]],
    model: str | None,
    known: Sequence[str | None],
    **options: Any,
) -> tuple[ModelVersion, list[TaggedText]]:
    """Tags each text by a model of its language, without letters by the default model; texts of a model together."""
    catalog, spent = run.resources.catalog, Counter[str]()
    items = [" ".join(words) for words in tokens] if texts is None else texts
    if not items:
        return catalog.find(Tagging, model).version, []
    name = "tokens" if texts is None else "text"
    await run.begin(run.check_size(name, items, len))
    languages = catalog.languages(Tagging)
    identified = await run.do(collect((identifier().identify(text, languages) for text in items), TEXTS_AT_ONCE))
    for detected, count in Counter(language for language, _ in identified).items():
        run.resources.metrics.languages.labels(detected, "detected").inc(count)
    for i, language in enumerate(known):
        if language:
            identified[i] = Identified(primary(language), 1.0)
    of_model: dict[tuple[str | None, str | None], list[int]] = {}  # name and language -> texts
    for i, (language, probability) in enumerate(identified):
        if language not in languages and language != UNDETERMINED and model is None:
            catalog.check_loaded()
            problem = f"it seems to be in {language!r}, with a probability of {probability:.2f}; no tagger is for that"
            allowed = f"texts in {', '.join(languages)}, or a model for texts in other languages"
            raise InvalidInput(f"/{name}/{i}" if len(items) > 1 else f"/{name}", problem, allowed)
        of_model.setdefault((None, language) if language in languages else (model, None), []).append(i)
    versions: list[ModelVersion] = []  # the first is that of the first text
    results: dict[int, TaggedText] = {}
    for (named, tag_of_language), own in of_model.items():
        run.timing.stages.clear()
        own_texts = None if texts is None else [texts[i] for i in own]
        own_tokens = [tokens[i] for i in own] if texts is None else ()
        by: dict[str, Any] = {"model": named, "language": tag_of_language, "identified": True}
        version, tagged = await tag(run, own_texts, tokens=own_tokens, **by, **options)
        spent.update(run.timing.stages)
        versions.append(version)
        for i, text in zip(own, tagged, strict=True):
            results[i] = replace(text, identified=Identification(*identified[i], version))
    run.timing.stages |= spent
    run.timing.notes["languages"] = ",".join(sorted({language for language, _ in identified}))
    return versions[0], [results[i] for i in range(len(items))]


def split_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> Interruptible[list[SplitText]]:
    """Splits texts into sentences."""
    split: list[SplitText] = []
    for text in texts:
        split.append(SplitText(text, (yield from tokenizer.split(text))))
        if not len(split) % TEXTS_AT_ONCE:
            yield
    return split


def joined_tokens(sentences: Sequence[Sequence[str]]) -> Interruptible[list[SplitText]]:
    """Returns each list of tokens as one sentence of the text made by joining them with spaces."""
    split: list[SplitText] = []
    for tokens in sentences:
        placed: list[TokenSpan] = []
        start = 0
        for token in tokens:
            placed.append(TokenSpan(token, start, start + len(token)))
            start += len(token) + 1
            if not len(placed) % TOKENS_AT_ONCE:
                yield
        split.append(SplitText(" ".join(tokens), [SentenceSpan(0, start - 1, tuple(placed))]))
    return split


def encode(
    task: Tagging, tokenizer: Tokenizer, inputs: Iterable[tuple[Sequence[str] | None, Sequence[Sequence[str]]]]
) -> Interruptible[tuple[list[SplitText], list[int], Ragged]]:
    """Splits texts, or joins tokens, and encodes all sentences, in order; long ones in windows.

    inputs: of each request its texts, or None and its tokens.
    Returns all texts, the number of sequences of each, and the sequences; there may be none.
    """
    split: list[SplitText] = []
    for texts, tokens in inputs:
        split += yield from (joined_tokens(tokens) if texts is None else split_texts(tokenizer, texts))
    words: list[list[str]] = []
    counts: list[int] = []
    longest = task.longest
    for text in split:
        own = [list(map(text_of, sentence.tokens)) for sentence in text.sentences]
        counts.append(sum([1 if len(some) <= longest else len(windows(len(some), longest)) for some in own]))
        words += own
    return split, counts, (yield from task.encode(words))


def decode(
    task: Tagging, split: Sequence[SplitText], outputs: Tensors, *, lemmas: bool, candidates: bool
) -> Interruptible[list[TaggedText]]:
    """Decodes the outputs for the sentences of texts, in order; with the next best tags on request."""
    tokens = [sentence.tokens for text in split for sentence in text.sentences]
    if not all(map(str.isascii, map(text_of, split))) and any(map(has_symbol, map(text_of, split))):
        outputs = yield from task.with_symbols(tokens, outputs)
    tags = yield from task.decode(tokens, outputs, lemmas=lemmas)
    replaced = (yield from task.dictionary.replace(tokens, tags)) if task.dictionary else None
    next_best = (yield from task.candidates(map(len, tokens), outputs)) if candidates else None
    results: list[TaggedText] = []
    end = 0  # of the text's sentences
    for text in split:
        start, end = end, end + len(text.sentences)
        own = slice(start, end)
        results.append(TaggedText(*text, tags[own], next_best and next_best[own], replaced=replaced and replaced[own]))
    return results
