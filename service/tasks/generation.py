"""Text generation: a prompt to ids, ids back to text, up to a stop string."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from service.engine.padding import Array
from service.registry import ModelVersion
from service.text.encoding import encode_tokens

START = "\n"  # an empty prompt starts a line


@dataclass(frozen=True, slots=True)
class Text:
    """A generated text, without its prompt and its stop string, and the number of tokens generated for it."""

    text: str
    finish_reason: Literal["stop", "length"]
    tokens: int


class TextGeneration:
    """Encodes prompts for one character language model, and decodes what it generates."""

    def __init__(self, version: ModelVersion) -> None:
        self.version = version
        self._characters = version.vocabularies["characters"]

    def encode(self, prompt: str) -> Array:
        """Returns the ids of the prompt's characters, at least one  # [T] int32."""
        return encode_tokens(prompt or START, self._characters)

    async def decode(self, ids: AsyncGenerator[int, None], stop: Sequence[str]) -> Text:
        """Collects generated ids until they end or a stop string is complete; closes their source."""
        text, count = "", 0
        longest_stop = max(map(len, stop), default=0)
        async with aclosing(ids):
            async for id in ids:
                text += self._characters.string(id)
                count += 1
                tail = max(0, len(text) - longest_stop)  # only here can a stop string have become complete
                found = [at for at in (text.find(s, tail) for s in stop) if at >= 0]
                if found:
                    return Text(text[: min(found)], "stop", count)
        return Text(text, "length", count)
