import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from service.tasks.generation import Choice, End, Logprob, Piece, TextGeneration
from service.tasks.stops import StopStrings
from service.text.vocabulary import UNK, Vocabulary
from service.types import Sampled
from tests.fakes import version_of

CHARACTERS = Vocabulary(list("abcdefgh\n"))
TASK = TextGeneration(replace(version_of("lm", "generate"), vocabularies={"characters": CHARACTERS}))


def decode(text: str, *stop: str):
    closed = []

    async def tokens() -> AsyncGenerator[Sampled, None]:
        try:
            for character in text:
                yield Sampled(CHARACTERS.id(character))
        finally:
            closed.append(True)

    async def run():
        result = await TASK.decode(tokens(), StopStrings(stop))
        assert closed, "the source was left open"
        return result.text, result.end.finish_reason, result.end.tokens

    return asyncio.run(run())


def test_a_text_ends_at_its_length():
    assert decode("abcd") == ("abcd", "length", 4)


def test_a_stop_string_ends_it_and_is_left_out():
    assert decode("abcdefg", "de") == ("abc", "stop", 5)


def test_the_first_of_several_stop_strings_counts():
    assert decode("abcdefg", "fg", "cd", "d") == ("ab", "stop", 4)
    assert decode("aab", "ab") == ("a", "stop", 3)


def test_an_empty_prompt_starts_a_line():
    assert TASK.encode("").tolist() == [CHARACTERS.id("\n")]
    assert TASK.encode("ab").tolist() == [2, 3]


def pieces(text: str, *stop: str, logprobs: bool = False) -> list[str | Piece | End]:
    async def tokens() -> AsyncGenerator[Sampled, None]:
        for character in text:
            id = CHARACTERS.id(character)
            yield Sampled(id, -0.1 * id, ((id, -0.1 * id), (UNK, -0.2), (3, -0.3))) if logprobs else Sampled(id)

    async def run():
        return [piece async for piece in TASK.pieces(tokens(), StopStrings(stop), top=2)]

    return [piece if logprobs or isinstance(piece, End) else piece.text for piece in asyncio.run(run())]


def test_a_text_comes_character_by_character():
    assert pieces("abc") == ["a", "b", "c", End("length", 3)]


def test_what_may_become_a_stop_string_is_held_back():
    assert pieces("abcabd", "abd") == ["abc", End("stop", 6)]
    assert pieces("aabaac", "aab") == [End("stop", 3)]
    assert pieces("caab", "aac", "abb") == ["c", "a", "ab", End("length", 4)]


def test_each_character_brings_its_logprobs_with_it_and_what_is_reserved_is_no_choice():
    held, end = pieces("abcabd", "abd", logprobs=True)
    assert isinstance(held, Piece)
    assert held.text == "abc"
    assert held.choices == [
        Choice(Logprob("a", -0.2), [Logprob("a", -0.2), Logprob("b", -0.3)]),
        Choice(Logprob("b", -0.3), [Logprob("b", -0.3), Logprob("b", -0.3)]),
        Choice(Logprob("c", -0.4), [Logprob("c", -0.4), Logprob("b", -0.3)]),
    ]
    assert end == End("stop", 6)
