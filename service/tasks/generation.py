"""Text generation: encodes prompts as ids, decodes ids to text, up to a stop string."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, NamedTuple

from service.artifact.manifest import ModelVersion
from service.text.vocabulary import RESERVED, encode_tokens
from service.types import Array, Sampled

START = "\n"  # replaces an empty prompt


@dataclass(frozen=True, slots=True)
class End:
    """The end of a text: its reason, the number of generated tokens, including a stop string, and its seed.

    The same seed gives the text again; the pipeline knows it.
    """

    finish_reason: Literal["stop", "length", "shutdown"]
    tokens: int
    seed: int = 0


class TokenLogprob(NamedTuple):
    """A token as text, and its natural log probability."""

    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Choice:
    """A generated token, and the most probable ones at its position, best first."""

    chosen: TokenLogprob
    top: list[TokenLogprob]


@dataclass(frozen=True, slots=True)
class TextChunk:
    """The next characters of a text; on request, the choices of its tokens, which are characters."""

    text: str
    choices: list[Choice]


@dataclass(frozen=True, slots=True)
class Text:
    """A generated text, without prompt and stop string, and the choices of its tokens."""

    text: str
    choices: list[Choice]
    end: End


class TextGeneration:
    """Encodes prompts for a character language model, and decodes its tokens. No prompt is `cut`; see `Tagging`."""

    def __init__(self, version: ModelVersion) -> None:
        self.version = version
        self.cut = 0
        self.characters = version.vocabularies["characters"]

    def encode(self, prompt: str) -> Array:
        """Returns the ids of the prompt's characters, at least one  # [T] int32."""
        return encode_tokens(prompt or START, self.characters)

    async def chunks(
        self, tokens: AsyncGenerator[Sampled, None], stop: Sequence[str], top: int = 0
    ) -> AsyncGenerator[TextChunk | End, None]:
        """Yields the text chunk by chunk, then its end; closes the source of the tokens.

        Holds back a possible beginning of a stop string until it is ruled out. If the tokens have logprobs, so have the
        chunks, with the `top` most probable tokens at each position.
        """
        held, count = "", 0  # held: generated, not yielded yet
        choices: list[Choice] = []  # of the held characters
        async with aclosing(tokens):
            async for sampled in tokens:
                token = self.characters.string(sampled.id)
                held += token
                if sampled.logprob is not None:
                    choices.append(self._choice(sampled, top))
                count += 1
                found = max((len(string) for string in stop if held.endswith(string)), default=0)
                certain = len(held) - found if found else beginning(held, stop)
                if certain:
                    yield TextChunk(held[:certain], choices[:certain])
                    held, choices = held[certain:], choices[certain:]
                if found:
                    yield End("stop", count)
                    return
        if held:
            yield TextChunk(held, choices)
        yield End("length", count)

    async def decode(self, tokens: AsyncGenerator[Sampled, None], stop: Sequence[str], top: int = 0) -> Text:
        """Collects tokens until they end or a stop string is complete; closes their source."""
        chunks: list[TextChunk] = []
        async with aclosing(self.chunks(tokens, stop, top)) as source:
            async for chunk in source:
                if isinstance(chunk, End):
                    choices = [choice for one in chunks for choice in one.choices]
                    return Text("".join(one.text for one in chunks), choices, chunk)
                chunks.append(chunk)
        raise AssertionError("a text has an end")

    def _choice(self, sampled: Sampled, top: int) -> Choice:
        likely = [(id, logprob) for id, logprob in sampled.top if id >= len(RESERVED)][:top]
        return Choice(self._logprob(sampled.id, sampled.logprob or 0.0), [self._logprob(*one) for one in likely])

    def _logprob(self, id: int, logprob: float) -> TokenLogprob:
        return TokenLogprob(self.characters.string(id), round(logprob, 6))


def beginning(text: str, strings: Sequence[str]) -> int:
    """Returns the first index from which a text may begin one of the strings; the text's length if there is none."""
    places = range(len(text))
    return next((i for i in places if any(string.startswith(text[i:]) for string in strings)), len(text))
