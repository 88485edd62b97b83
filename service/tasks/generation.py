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
class End:
    """Why a text ended, and the number of tokens generated for it, those of the stop string included."""

    finish_reason: Literal["stop", "length"]
    tokens: int


@dataclass(frozen=True, slots=True)
class Text:
    """A generated text, without its prompt and its stop string."""

    text: str
    end: End


class TextGeneration:
    """Encodes prompts for one character language model, and decodes what it generates."""

    def __init__(self, version: ModelVersion) -> None:
        self.version = version
        self.characters = version.vocabularies["characters"]

    def encode(self, prompt: str) -> Array:
        """Returns the ids of the prompt's characters, at least one  # [T] int32."""
        return encode_tokens(prompt or START, self.characters)

    async def pieces(self, ids: AsyncGenerator[int, None], stop: Sequence[str]) -> AsyncGenerator[str | End, None]:
        """Yields the text piece by piece, and its end; closes the source of the ids.

        What may be the beginning of a stop string is held back until it is known to be none.
        """
        text, shown, count = "", 0, 0
        longest_stop = max(map(len, stop), default=0)
        async with aclosing(ids):
            async for id in ids:
                text += self.characters.string(id)
                count += 1
                tail = max(0, len(text) - longest_stop)  # only here can a stop string have become complete
                found = [at for at in (text.find(s, tail) for s in stop) if at >= 0]
                certain = min(found) if found else len(text) - _held_back(text[tail:], stop)
                if certain > shown:
                    yield text[shown:certain]
                    shown = certain
                if found:
                    yield End("stop", count)
                    return
        if shown < len(text):
            yield text[shown:]
        yield End("length", count)

    async def decode(self, ids: AsyncGenerator[int, None], stop: Sequence[str]) -> Text:
        """Collects generated ids until they end or a stop string is complete; closes their source."""
        parts: list[str] = []
        async with aclosing(self.pieces(ids, stop)) as pieces:
            async for piece in pieces:
                if isinstance(piece, End):
                    return Text("".join(parts), piece)
                parts.append(piece)
        raise AssertionError("a text has an end")


def _held_back(tail: str, stop: Sequence[str]) -> int:
    """Returns how many characters at the end of a text a stop string begins with."""
    return next((n for n in range(len(tail), 0, -1) if any(s.startswith(tail[-n:]) for s in stop)), 0)
