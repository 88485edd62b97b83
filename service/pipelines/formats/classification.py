"""Encodes classified texts as JSON."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from service.artifact.version import ModelVersion
from service.pipelines.classification import ClassifiedText
from service.pipelines.formats.pieces import to_json, write_answer, write_list, write_object
from service.tasks.dictionary import SOURCE
from service.tasks.sentiment import Classification, Explanation
from service.text.offsets import Unit, positions
from service.text.slices import SENTENCES_AT_ONCE, Sliced
from service.text.tokenizer import Sentence, Token


def write_json(model: ModelVersion, texts: Iterable[ClassifiedText], unit: Unit = "code_points") -> Sliced[list[bytes]]:
    """Encodes a /classify response as JSON, in pieces. `unit`: what offsets count."""
    results: list[list[bytes]] = []
    for text in texts:
        if text.explanation is None and text.sentences is None and not text.ignored:
            results.append([to_json(_members(text.classification))])
        else:
            results.append((yield from write_result(text, unit)))
        if not len(results) % SENTENCES_AT_ONCE:
            yield
    return write_answer(model, results)


def write_result(classified: ClassifiedText, unit: Unit = "code_points") -> Sliced[list[bytes]]:
    """Encodes a text's result as JSON, in pieces."""
    why, result = classified.explanation, _members(classified.classification)
    if classified.ignored:
        result["ignored"] = [{"text": word, "source": SOURCE} for word in classified.ignored]
    if classified.magnitude is not None:
        result |= {"magnitude": classified.magnitude, "mixed": classified.mixed}
    text, places = classified.text, positions(classified.text, unit)
    lists: dict[str, list[bytes]] = {}
    if why is not None:
        head = {"label": why.label, "score": why.score, "baseline": why.baseline}
        tokens = yield from write_list(_contributions(text, classified.tokens, why, places))
        lists["contributions"] = write_object(head, tokens=tokens)
    if classified.sentences is not None:
        lists["sentences"] = yield from write_list(_sentences(text, classified.sentences, places))
    return write_object(result, **lists)


def _contributions(
    text: str, tokens: Sequence[Token], why: Explanation, places: Sequence[int]
) -> Iterator[dict[str, Any]]:
    for token, contribution in zip(tokens, why.contributions, strict=True):
        yield {**_placed(text, token, places), "contribution": contribution}


def _sentences(
    text: str, sentences: Sequence[tuple[Sentence, Classification]], places: Sequence[int]
) -> Iterator[dict[str, Any]]:
    for sentence, part in sentences:
        yield _placed(text, sentence, places) | _members(part)


def _members(found: Classification) -> dict[str, Any]:
    if found.score is None:
        return {"label": found.label, "scores": found.scores}
    return {"label": found.label, "scores": found.scores, "score": found.score}


def _placed(text: str, part: Sentence | Token, places: Sequence[int]) -> dict[str, Any]:
    return {"text": text[part.start : part.end], "start": places[part.start], "end": places[part.end]}
