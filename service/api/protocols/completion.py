"""Responses of OpenAI's completions API, whole or streamed."""

import time
import uuid
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from typing import Any

from service.api import events
from service.artifact.version import ModelVersion
from service.http import problem
from service.pipelines.formats.pieces import join_list, to_json, write_list, write_object
from service.pipelines.generation import Finish, GeneratedText, GenerationOptions, Next
from service.pipelines.run import PipelineRun
from service.tasks.generation import START, Choice
from service.text.slices import Sliced

DONE = b"data: [DONE]\n\n"


class Answer:
    """Builds one response: its id, creation time and token usage."""

    def __init__(self, version: ModelVersion, options: GenerationOptions, *, echo: bool) -> None:
        """`echo` prepends each prompt to its texts."""
        self.tokens = 0
        self._read = sum(len(prompt or START) for prompt in options.prompts)
        self._echoes = [prompt if echo else "" for prompt in options.prompts for _ in range(options.n)]
        self._options = options
        self._written = [0] * len(self._echoes)  # characters of each text
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": version.manifest.name,
            "system_fingerprint": str(version.key),
        }

    def write_choice(self, index: int, generated: GeneratedText) -> Sliced[list[bytes]]:
        """Encodes a complete text as a `CompletionChoice`, in pieces."""
        text = generated.text
        self.tokens += text.end.tokens
        choice = {
            "text": self._echoes[index] + text.text,
            "index": index,
            "finish_reason": _finish_reason(text.end.finish_reason),
        }
        if self._options.logprobs is None:
            return [to_json({**choice, "logprobs": None})]
        lists: dict[str, list[bytes]] = {}
        for name, values in _logprobs(text.choices, 0).items():
            lists[name] = yield from write_list(values)
        return write_object(choice, logprobs=write_object({}, **lists))

    def write(self, choices: Sequence[list[bytes]]) -> list[bytes]:
        """Encodes the whole response, in pieces."""
        return write_object({**self._head, "usage": self.usage()}, choices=join_list(choices))

    def piece(self, index: int, text: str, finish_reason: str | None, choices: Sequence[Choice] = ()) -> dict[str, Any]:
        """Returns a streamed piece of a text; a text's first piece starts with the echoed prompt."""
        echo, self._echoes[index] = self._echoes[index], ""
        probable = None
        if self._options.logprobs is not None and finish_reason is None:
            probable = {name: list(values) for name, values in _logprobs(choices, self._written[index]).items()}
        self._written[index] += len(text)
        reason = None if finish_reason is None else _finish_reason(finish_reason)
        choice = {"text": echo + text, "index": index, "logprobs": probable, "finish_reason": reason}
        return {**self._head, "choices": [choice], "usage": None}

    def usage(self) -> dict[str, int]:
        """Returns the numbers of tokens read and generated."""
        total = self._read + self.tokens
        return {"prompt_tokens": self._read, "completion_tokens": self.tokens, "total_tokens": total}

    def pieces(self, run: PipelineRun, with_usage: bool) -> AsyncGenerator[bytes, None]:
        """Yields the events of a stream: the pieces of texts, the usage on request, and DONE; or an error."""

        def write(part: Next | Finish) -> bytes:
            if isinstance(part, Next):
                return events.event(self.piece(part.index, part.piece.text, None, part.piece.choices))
            self.tokens += part.end.tokens
            return events.event(self.piece(part.index, "", part.end.finish_reason))

        def write_end() -> Iterator[bytes]:
            if with_usage:
                yield events.event({**self._head, "choices": [], "usage": self.usage()})
            yield DONE

        def write_error(document: dict[str, Any]) -> bytes:
            return events.event(problem.with_protocol_error("/v1/", document))

        return events.generation_events(run, self._options, write, write_error, write_end)


def _logprobs(choices: Sequence[Choice], start: int) -> dict[str, Iterable[Any]]:
    """Returns the choices of characters from `start` on as `Logprobs`."""
    return {
        "tokens": (choice.chosen.token for choice in choices),
        "token_logprobs": (choice.chosen.logprob for choice in choices),
        "top_logprobs": (dict((*choice.top, choice.chosen)) for choice in choices),
        "text_offset": range(start, start + len(choices)),
    }


def _finish_reason(reason: str) -> str:
    return "length" if reason == "shutdown" else reason  # the API has no shutdown reason
