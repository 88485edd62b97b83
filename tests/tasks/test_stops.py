"""Stop strings are found as by looking for each of them after each character, in time that does not grow with them."""

from hypothesis import example, given
from hypothesis import strategies as st

from service.tasks.stops import INITIAL, StopStrings

LETTERS = "abc"


def by_looking(text: str, strings: list[str]) -> tuple[int, int]:
    """Returns what `found` and `begun` are to say at the end of a text, in as plain a way as there is."""
    found = max((len(string) for string in strings if text.endswith(string)), default=0)
    begun = max(
        (n for n in range(len(text) + 1) if any(s.startswith(text[len(text) - n :]) for s in strings)), default=0
    )
    return found, begun


@given(st.text(LETTERS, max_size=40), st.lists(st.text(LETTERS, min_size=1, max_size=8), max_size=6), st.integers(1, 3))
@example("aabaabaac", ["aabaac", "ab", "b"], 1)
@example("abcabcabd", ["abcabd", "cab", "ca"], 1)
def test_the_automaton_finds_what_looking_for_each_string_finds(text: str, strings: list[str], step: int) -> None:
    stops, state = StopStrings(strings), INITIAL
    for start in range(0, len(text), step):
        state = stops.follow(state, text[start : start + step])
        read = text[: start + step]
        assert (stops.found(state), stops.begun(state)) == by_looking(read, strings)


class Counting(str):
    """Counts how often it is looked up."""

    looks = 0

    def __hash__(self) -> int:
        Counting.looks += 1
        return super().__hash__()


def test_a_character_costs_the_same_for_one_short_string_and_for_many_long_ones() -> None:
    def looks(strings: list[str], text: str) -> int:
        stops, state, Counting.looks = StopStrings(strings), INITIAL, 0
        for character in text:
            state = stops.follow(state, Counting(character))
        return Counting.looks

    long = ["a" * 99 + chr(ord("b") + i) for i in range(16)]
    for text in ("a" * 5000, ("a" * 98 + "z") * 50, "ab" * 2500):
        assert looks(long, text) <= 2 * len(text)
    assert looks(["ab"], "a" * 5000) <= 2 * 5000
