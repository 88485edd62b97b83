"""POST /classify."""

import time
from typing import Any

from service.api import schemas
from service.api.call import Call, answer
from service.tasks.sentiment import Sentiment


async def classify(call: Call, body: schemas.ClassifyRequest) -> dict[str, Any]:
    """Judges texts; returns the answer in the shape of `schemas.ClassifyAnswer`."""
    task = call.here.catalog.find(Sentiment, body.model)
    began = time.monotonic()
    call.check_size("text", body.text)
    entries = [task.encode([t.text for t in call.here.tokenizer.tokens(text)]) for text in body.text]
    call.tokenized(task.version, began)
    outputs = await call.infer(task.version, entries)
    results = []
    for pieces, output in zip(entries, outputs, strict=True):
        judgement = task.decode(output, [len(piece["word_ids"]) for piece in pieces])
        results.append({"label": judgement.label, "scores": judgement.scores, "truncated": False})
    return answer(task.version, results)
