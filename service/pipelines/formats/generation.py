"""Encodes generated texts as JSON."""

from typing import Any

from service.pipelines.formats.pieces import to_json, write_list, write_object
from service.pipelines.generation import GeneratedText
from service.tasks.generation import Choice
from service.text.slices import Sliced


def write_result(index: int, generated: GeneratedText, *, logprobs: bool) -> Sliced[list[bytes]]:
    """Encodes a text's result as JSON, in pieces; with log probabilities on request."""
    text, end = generated.text, generated.text.end
    facts = {"finish_reason": end.finish_reason, "tokens": end.tokens, "seed": generated.seed}
    if not logprobs:
        return [to_json({"text": text.text, **facts})]
    choices = yield from write_list(map(as_dict, text.choices))
    return write_object({"text": text.text, **facts}, logprobs=choices)


def as_dict(choice: Choice) -> dict[str, Any]:
    """Returns a token with its log probability, and the most probable tokens, as JSON objects."""
    return choice.chosen._asdict() | {"top": [one._asdict() for one in choice.top]}
