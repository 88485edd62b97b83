"""The lemmas that a lexicon lists: of many words, in little memory and in a small file.

In the file, the words of each rule are packed: sorted, each without the characters that it shares with the word before.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from operator import eq
from typing import TypeVar

import numpy as np

from service.text.lemma_rules import parse_rule
from service.text.normalization import are_normal, normalize_each
from service.types import Array

MOST_SHARED = 9  # characters, a digit
LONGEST_HASHED = 60  # characters; longer words have no hash
NO_HASH = 0
T = TypeVar("T", int, Array)
# UPOS -> label of a rule -> the forms whose lemma it makes, packed, or as a list in older versions
FormsByRule = Mapping[str, Mapping[str, str | Sequence[str]]]


class LemmaLexicon:
    """Finds the lemma of a word as a part of speech: by a hash of each word, and the rule that makes its lemma.

    A word takes 12 bytes; as strings, the 200 000 words of a lexicon of French took 40 MB in each process.
    """

    def __init__(self, lexicon: FormsByRule) -> None:
        """Raises ValueError if a label is no rule, or forms are not packed as they should be."""
        numbers: dict[str, int] = {}
        contents, seeds, rules = list[str](), list[int](), list[int]()
        for upos, by_rule in lexicon.items():
            seed = hash_word(f"{upos} ")
            for label, forms in by_rule.items():
                if forms:
                    contents.append(forms if isinstance(forms, str) else packed(forms))
                    seeds.append(seed)
                    rules.append(numbers.setdefault(label, len(numbers)))
        if not are_normal(contents):
            contents = [packed(normalize_each(list(unpacked(content)))) for content in contents]
        found, counts = hashes(contents, seeds)
        order = np.argsort(found, kind="stable")
        self._hashes = found[order]
        self._numbers = np.repeat(np.array(rules, np.int32), counts)[order]
        self._rules = [parse_rule(label) for label in numbers]

    def find(self, form: str, upos: str) -> str | None:
        """Returns the lemma of a form in its normal form; None if it is not listed as that part of speech.

        Lexicons list auxiliaries as verbs.
        """
        found = self._find(form, upos)
        return self._find(form, "VERB") if found is None and upos == "AUX" else found

    def _find(self, form: str, upos: str) -> str | None:
        lower = form.lower()
        wanted = np.uint64(hash_word(lower, hash_word(f"{upos} ")))
        place = int(self._hashes.searchsorted(wanted))
        if wanted == NO_HASH or place == len(self._hashes) or self._hashes[place] != wanted:
            return None
        rule = self._rules[self._numbers[place]]
        return rule if isinstance(rule, str) else rule.apply(lower)


def packed(words: Iterable[str]) -> str:
    """Returns words, sorted, one a line: how many characters it shares with the one before, a digit, and the rest."""
    lines, last = list[str](), ""
    for word in sorted(words):
        shared = sum(takewhile(bool, map(eq, last[:MOST_SHARED], word)))
        lines.append(f"{shared}{word[shared:]}")
        last = word
    return "\n".join(lines)


def unpacked(content: str) -> Iterator[str]:
    """Yields the words that `packed` was given. Raises ValueError if it cannot have made the content."""
    word = ""
    for line in content.split("\n"):
        if not "0" <= line[:1] <= "9" or int(line[:1]) > len(word):
            raise ValueError(_no_word(line))
        word = word[: int(line[:1])] + line[1:]
        yield word


def hash_word(word: str, seed: int = NO_HASH) -> int:
    """Returns 64 bits that are the same in every process; Python's `hash` differs. NO_HASH for a word that is long.

    That two of 300,000 words have the same has a probability of one in 400 million. `seed` is the hash of another text.
    """
    if len(word) > LONGEST_HASHED:
        return NO_HASH
    for code in map(ord, word):
        seed = _mixed(seed, code)
    return seed


def hashes(contents: Sequence[str], seeds: Sequence[int]) -> tuple[Array, Array]:
    """Returns the hash of each packed word, with its content's seed, and the number of words of each content.

    Takes a third of the time of hashing each word by itself. Raises ValueError if `packed` cannot have made a content.
    """
    text = "".join(f"{content}\n" for content in contents)
    counts = np.array([content.count("\n") + 1 for content in contents], np.int64)
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    ends = np.flatnonzero(codes == ord("\n"))
    starts = np.append(0, ends[:-1] + 1)[: len(ends)]  # of lines
    shared = codes[starts].astype(np.int64) - ord("0")
    lengths = shared + ends - starts - 1  # of words
    before = np.append(0, lengths[:-1])[: len(ends)]
    before[np.cumsum(counts) - counts] = 0
    if len(wrong := np.flatnonzero((shared < 0) | (shared > np.minimum(before, MOST_SHARED)))):
        raise ValueError(_no_word(text[starts[wrong[0]] : ends[wrong[0]]]))
    found = np.repeat(np.array(seeds, np.uint64), counts)
    lines = places = np.arange(len(found))
    for column in range(min(lengths.max(initial=0), LONGEST_HASHED)):
        lines = lines[lengths[lines] > column]
        if column < MOST_SHARED:
            own = lines[shared[lines] <= column]
            found[own] = _mixed(found[own], codes[starts[own] + 1 + column - shared[own]])
            # The others share this character with a line before them, and so what has been hashed until here.
            found = found[np.maximum.accumulate(np.where(shared > column, 0, places))]
        else:
            found[lines] = _mixed(found[lines], codes[starts[lines] + 1 + column - shared[lines]])
    found[lengths > LONGEST_HASHED] = NO_HASH
    return found, counts


def _mixed(state: T, code: T) -> T:
    """Returns a hash with the code of one more character: by multiplication, as FNV-1a does, and a shift."""
    state = (state ^ code) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    return state ^ (state >> 32)


def _no_word(line: str) -> str:
    return f"no packed word is {line[:40]!r}; one begins with a digit, how much it shares with the one before"
