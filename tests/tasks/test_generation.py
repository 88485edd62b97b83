import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from service.tasks.generation import Choice, End, TextChunk, TextGeneration, TokenLogprob
from service.text.vocabulary import UNK, Vocabulary
from service.types import Sampled
from tests.fakes import version_of

CHARACTERS = Vocabulary(list("abcdefgh\n"))
TASK = TextGeneration(replace(version_of("lm", "generate"), vocabularies={"characters": CHARACTERS}))


async def tokens(text: str, closed: list[bool], logprobs: bool = False) -> AsyncGenerator[Sampled, None]:
    try:
        for id in CHARACTERS.ids(text):
            yield Sampled(id, -0.1 * id, ((id, -0.1 * id), (UNK, -0.2), (3, -0.3))) if logprobs else Sampled(id)
    finally:
        closed.append(True)


def decode(text: str, *stop: str):
    async def run():
        closed: list[bool] = []
        result = await TASK.decode(tokens(text, closed), stop)
        assert closed, "the source was left open"
        return result.text, result.end.finish_reason, result.end.tokens

    return asyncio.run(run())


def test_an_empty_prompt_starts_a_line():
    assert TASK.encode("").tolist() == [CHARACTERS.id("\n")]
    assert TASK.encode("ab").tolist() == [2, 3]


def chunks(text: str, *stop: str, logprobs: bool = False) -> list[str | TextChunk | End]:
    async def run():
        return [chunk async for chunk in TASK.chunks(tokens(text, [], logprobs), stop, top=2)]

    return [chunk if logprobs or isinstance(chunk, End) else chunk.text for chunk in asyncio.run(run())]


def test_what_may_become_a_stop_string_is_held_back():
    assert chunks("abcabd", "abd") == ["abc", End("stop", 6)]
    assert chunks("aabaac", "aab") == [End("stop", 3)]
    assert chunks("caab", "aac", "abb") == ["c", "a", "ab", End("length", 4)]


def by_looking(text: str, strings: list[str]) -> tuple[str, str, int]:
    """Returns what `decode` is to return, in as plain a way as there is."""
    for length in range(1, len(text) + 1):
        read = text[:length]
        if found := max((len(string) for string in strings if read.endswith(string)), default=0):
            return read[: length - found], "stop", length
    return text, "length", len(text)


@given(st.text("abc", max_size=40), st.lists(st.text("abc", min_size=1, max_size=8), max_size=6))
@example("abcdefg", ["fg", "cd", "d"])
@example("aabaabaac", ["aabaac", "ab", "b"])
@example("abcabcabd", ["abcabd", "cab", "ca"])
def test_stop_strings_are_found_as_by_looking_for_each_in_the_whole_text(text: str, strings: list[str]):
    assert decode(text, *strings) == by_looking(text, strings)


class Counting(str):
    """Counts how often it is compared."""

    compared = 0

    def startswith(self, *given) -> bool:
        Counting.compared += 1
        return super().startswith(*given)


def test_a_character_costs_a_bounded_number_of_comparisons():
    """Of the largest that a request may have: 16 stop strings of 100 characters."""
    strings = [Counting("a" * 99 + character) for character in "bcdefgh" for _ in range(2)]
    text = "a" * 200
    Counting.compared = 0
    assert decode(text, *strings) == (text, "length", 200)
    assert Counting.compared <= len(text) * len(strings) * 100


def test_each_character_brings_its_logprobs_with_it_and_what_is_reserved_is_no_choice():
    other = TokenLogprob("b", -0.3)
    a, b, c = (Choice(one, [one, other]) for one in (TokenLogprob("a", -0.2), other, TokenLogprob("c", -0.4)))
    expected = [TextChunk("a", [a]), TextChunk("abc", [a, b, c]), End("stop", 7)]
    assert chunks("aabcabd", "abd", logprobs=True) == expected, "the first may begin a stop string until the second"
