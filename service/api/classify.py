"""POST /classify."""

import time
from collections.abc import Sequence
from typing import Any

from service.api import schemas
from service.api.call import Call, answer
from service.api.problem import Rejected
from service.engine.padding import Tensors
from service.errors import InvalidInput
from service.registry import ModelVersion
from service.tasks.sentiment import EXPLANATION, Explanation, Sentiment
from service.text.offsets import positions
from service.text.tokenizer import Sentence, Token, Tokenizer


async def classify(call: Call, body: schemas.ClassifyRequest) -> dict[str, Any]:
    """Judges texts; returns the answer in the shape of `schemas.ClassifyAnswer`."""
    return answer(*await judge(call, body))


async def judge(call: Call, body: schemas.ClassifyRequest) -> tuple[ModelVersion, list[dict[str, Any] | Rejected]]:
    """Judges texts; returns the model, and for each text its result in the shape of `schemas.Classified`."""
    task = call.here.catalog.find(Sentiment, body.model)
    if body.contributions and not task.explains:
        raise InvalidInput(
            "/contributions", "got true", f"false: {task.version.key} does not say what words contribute"
        )
    began = time.monotonic()
    texts = [
        text if isinstance(text, Rejected) else Text(task, call.here.tokenizer, text, body.sentences)
        for text in call.admit("text", body.text, len)
    ]
    call.tokenized(task.version, began)
    entries = [entry for text in texts if isinstance(text, Text) for entry in text.entries]
    outputs = iter(await call.infer(task.version, entries, EXPLANATION if body.contributions else frozenset()))
    return task.version, [
        text if isinstance(text, Rejected) else text.result(body, [next(outputs) for _ in text.entries])
        for text in texts
    ]


class Text:
    """A text on its way: whole, and its sentences where they are asked for.

    Attributes:
        entries: what is to be run: the pieces of the whole text, and those of each sentence.
    """

    def __init__(self, task: Sentiment, tokenizer: Tokenizer, text: str, by_sentence: bool) -> None:
        self._task = task
        self._text = text
        self._sentences = tokenizer.sentences(text) if by_sentence else []
        self._tokens = [t for s in self._sentences for t in s.tokens] if by_sentence else tokenizer.tokens(text)
        parts: list[Sequence[Token]] = [self._tokens, *(sentence.tokens for sentence in self._sentences)]
        self.entries = [task.encode([token.text for token in tokens]) for tokens in parts]

    def result(self, body: schemas.ClassifyRequest, outputs: Sequence[Sequence[Tensors]]) -> dict[str, Any]:
        """Returns the result in the shape of `schemas.Classified`, from the outputs of each entry."""
        lengths = [[len(piece["word_ids"]) for piece in entry] for entry in self.entries]
        whole, *parts = map(self._task.decode, outputs, lengths)
        result: dict[str, Any] = {"label": whole.label, "scores": whole.scores, "truncated": False}
        places = positions(self._text, body.offsets) if body.contributions or body.sentences else ()
        if body.contributions:
            why = self._task.explain(outputs[0], lengths[0], whole.label, len(self._tokens))
            result["contributions"] = self._explained(whole.label, why, places)
        if body.sentences:
            result["sentences"] = [
                {**self._placed(sentence, places), "label": part.label, "scores": part.scores}
                for sentence, part in zip(self._sentences, parts, strict=True)
            ]
        return result

    def _explained(self, label: str, why: Explanation, places: Sequence[int]) -> dict[str, Any]:
        tokens = [
            {**self._placed(token, places), "contribution": contribution}
            for token, contribution in zip(self._tokens, why.contributions, strict=True)
        ]
        return {"label": label, "score": why.score, "baseline": why.baseline, "tokens": tokens}

    def _placed(self, part: Sentence | Token, places: Sequence[int]) -> dict[str, Any]:
        text = self._text[part.start : part.end]
        return {"text": text, "start": places[part.start], "end": places[part.end]}
