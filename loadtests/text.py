"""Running text for the load: sentences of the documentation that comes with Python, as long as those of EWT.

The words are those of the standard library's docstrings and of the language reference (`pydoc_data`), so every machine
that runs the load tests has the text. The lengths are those of the test part of UD English EWT r2.16.

In running text, new words keep occurring. By Good and Turing, the share of words that were never read before is about
that of the words which occur once in what was read. So those that occur once in the load are spelled anew each time
that they are sent, and the share of new words is constant, however often the sentences are repeated.
"""

import csv
import json
import random
import re
import sys
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics
from statistics import mean, median
from typing import NamedTuple

EWT_LENGTHS = Path(__file__).with_name("ewt_lengths.json")  # words of a sentence: how many such in EWT's test part
TIMES_EWT = 2  # sentences of each length, for each such sentence in EWT's test part
ENDING = 3  # letters that a word keeps, so that it still looks like a noun or a verb
WORD = re.compile(r"[A-Za-z]{4,}")
FIELDS = {"text", "tokens", "prompt", "seed", "temperature", "lemmas"}  # of requests, which keep their names

_DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
_PARAGRAPH = re.compile(r"\n\s*\n")
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_TOKEN = re.compile(r"\w+(?:[-.]\w+)*|[^\w\s]")
_CODE = re.compile(r"[^\w\s.,;:!?()'\"-]|[\d_]\w*[_(]|_|\w\(|\w\.\w|--|\.\.|^\W|\b[a-z]+[A-Z]")
_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnpqrstvwxyz"


class Sentence(NamedTuple):
    """A sentence, and how many words and punctuation marks it has."""

    text: str
    words: int


@cache
def running_text() -> Sequence[Sentence]:
    """Returns the sentences of the load, some 4000, in a random order that is always the same.

    Where the documentation has too few sentences of a length, parts of longer ones take their place.
    """
    chance = random.Random(1)
    by_length: defaultdict[int, list[str]] = defaultdict(list)
    every = sorted(set(_documentation()))
    for text in every:
        by_length[len(_TOKEN.findall(text))].append(text)
    chosen: list[Sentence] = []
    for length, number in ewt_lengths().items():
        wanted, whole = TIMES_EWT * number, by_length[length]
        chance.shuffle(whole)
        longer = [text for other, texts in by_length.items() if other > length for text in texts]
        longer = longer or [" ".join(chance.sample(every, length))]
        parts = whole[:wanted]
        while len(parts) < wanted:
            parts.append(_part(chance.choice(longer), length, chance))
        chosen += (Sentence(text, length) for text in parts)
    chance.shuffle(chosen)
    return chosen


def ewt_lengths() -> dict[int, int]:
    """Returns how many sentences of each length EWT's test part has."""
    histogram: dict[str, int] = json.loads(EWT_LENGTHS.read_text(encoding="utf-8"))
    return {int(length): number for length, number in histogram.items()}


@cache
def rare_words() -> frozenset[str]:
    """Returns the words that occur once in the load."""
    counts = Counter(word for sentence in running_text() for word in WORD.findall(sentence.text))
    return frozenset(word for word, number in counts.items() if number == 1) - FIELDS


def spelling(chance: random.Random) -> bytes:
    """Returns a table for `bytes.translate` that replaces vowels by vowels and consonants by consonants."""
    vowels, consonants = ("".join(chance.sample(letters, len(letters))) for letters in (_VOWELS, _CONSONANTS))
    letters = _VOWELS + _CONSONANTS
    replaced = vowels + consonants
    return bytes.maketrans((letters + letters.upper()).encode(), (replaced + replaced.upper()).encode())


def stem(begin: int, end: int) -> slice:
    """Returns the part of a word that is spelled anew: all of a short one, else all but the last letters."""
    return slice(begin, end - ENDING if end - begin > 2 * ENDING - 1 else end)


def respelled(text: str, letters: bytes) -> str:
    """Returns a text with its rare words spelled anew."""
    content = bytearray(text.encode("ascii"))
    for match in WORD.finditer(text):
        if match.group() in rare_words():
            part = stem(*match.span())
            content[part] = content[part].translate(letters)
    return content.decode("ascii")


def endless_text(chance: random.Random) -> Iterator[str]:
    """Yields the sentences over and over, from a random one on, their rare words spelled anew each time."""
    sentences = running_text()
    begin = chance.randrange(len(sentences))
    while True:
        letters = spelling(chance)
        for sentence in (*sentences[begin:], *sentences[:begin]):
            yield respelled(sentence.text, letters)


def described() -> str:
    """Returns what the sentences are, in a line."""
    lengths = sorted(sentence.words for sentence in running_text())
    percentiles = f"median {median(lengths):g}, 95 % up to {lengths[int(0.95 * len(lengths))]}, longest {lengths[-1]}"
    new = len(rare_words()) / sum(lengths)
    return (
        f"{len(lengths)} sentences of Python's documentation as long as EWT's ({mean(lengths):.1f} words in the mean, "
        f"{percentiles}), one a request; {new:.1%} of the words were never sent before"
    )


def main() -> None:
    """Prints the sentences as a table whose labels are neutral, for `tagwerk-train evaluate NAME --data FILE`."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerows([("text", "label"), *((sentence.text, "neutral") for sentence in running_text())])


def _documentation() -> Iterator[str]:
    """Yields the sentences of the documentation that hold no code."""
    library = Path(sysconfig.get_path("stdlib"))
    texts = [topics[name] for name in sorted(topics)]
    for file in sorted(library.glob("*.py")):
        texts += _DOCSTRING.findall(file.read_text(encoding="utf-8"))
    for text in texts:
        for paragraph in _PARAGRAPH.split(text):
            for sentence in _BETWEEN_SENTENCES.split(" ".join(paragraph.split())):
                balanced = sentence.count('"') % 2 == 0 and sentence.count("(") == sentence.count(")")
                if sentence and sentence.isascii() and balanced and not _CODE.search(sentence):
                    yield sentence


def _part(text: str, length: int, chance: random.Random) -> str:
    """Returns that many words of a longer text that follow each other."""
    words = list(_TOKEN.finditer(text))
    first = chance.randrange(len(words) - length + 1)
    return text[words[first].start() : words[first + length - 1].end()]


if __name__ == "__main__":
    main()
