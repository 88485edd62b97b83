"""Finds stop strings in a text that comes character by character: an automaton of Aho and Corasick (1975).

What a character costs does not grow with the number of the strings or their lengths.
"""

from collections import deque
from collections.abc import Sequence

INITIAL = 0


class StopStrings:
    """The automaton of some strings. A state stands for the longest end of the text with which one of them begins."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._next: list[dict[str, int]] = [{}]  # of each state: character -> state
        self._shorter = [INITIAL]  # of each state: that of the next shorter such end
        self._begun = [0]  # of each state: the length of what it stands for
        self._found = [0]  # of each state: the length of the longest string that ends there
        for string in strings:
            self._add(string)
        self._connect()

    def follow(self, state: int, text: str) -> int:
        """Returns the state after the next characters of a text."""
        for character in text:
            while (found := self._next[state].get(character)) is None and state != INITIAL:
                state = self._shorter[state]
            state = INITIAL if found is None else found
        return state

    def begun(self, state: int) -> int:
        """Returns how many characters at the end of the text a string begins with."""
        return self._begun[state]

    def found(self, state: int) -> int:
        """Returns the length of the longest string that the text ends with, 0 where there is none."""
        return self._found[state]

    def _add(self, string: str) -> None:
        state = INITIAL
        for length, character in enumerate(string, start=1):
            if character not in self._next[state]:
                self._next[state][character] = len(self._next)
                self._next.append({})
                self._shorter.append(INITIAL)
                self._begun.append(length)
                self._found.append(0)
            state = self._next[state][character]
        self._found[state] = len(string)

    def _connect(self) -> None:
        """Finds the shorter ends of all states, those of the shortest first."""
        states = deque(self._next[INITIAL].values())
        while states:
            state = states.popleft()
            for character, longer in self._next[state].items():
                states.append(longer)
                self._shorter[longer] = self.follow(self._shorter[state], character)
            self._found[state] = self._found[state] or self._found[self._shorter[state]]
