"""Finds stop strings in a stream of characters with an Aho-Corasick automaton (1975).

The cost per character does not depend on the number or lengths of the strings.
"""

from collections import deque
from collections.abc import Sequence

INITIAL = 0


class StopStrings:
    """The automaton of some strings. A state is the longest suffix of the text that is a prefix of one of them."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._next: list[dict[str, int]] = [{}]  # by state: character -> state
        self._shorter = [INITIAL]  # by state: the next shorter such suffix
        self._begun = [0]  # by state: the length of its suffix
        self._found = [0]  # by state: the length of the longest string that ends there
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
        """Returns the length of the longest suffix of the text that begins a string."""
        return self._begun[state]

    def found(self, state: int) -> int:
        """Returns the length of the longest string that the text ends with, or 0."""
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
        """Computes the failure links, breadth-first."""
        states = deque(self._next[INITIAL].values())
        while states:
            state = states.popleft()
            for character, longer in self._next[state].items():
                states.append(longer)
                self._shorter[longer] = self.follow(self._shorter[state], character)
            self._found[state] = self._found[state] or self._found[self._shorter[state]]
