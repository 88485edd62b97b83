"""Measures what a dictionary costs a sentence, in processor time, by the number of its entries.

    python -m loadtests.dictionary

The sentences of `loadtests/sentences.txt` are looked up in dictionaries of one and of 10,000 entries,
in turn. Of the rest of a request nothing is run: `python -m loadtests.figures` has its processor time. No entry has a
word of the sentences, or a thousand entries begin with their most frequent word, which is the worst case.
"""

import gc
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from service.tasks.dictionary import Dictionary, parse
from service.tasks.tagging import Tag
from service.text.interruptible import finish
from service.text.tokens import TokenSpan

SENTENCES = Path(__file__).with_name("sentences.txt")
ROUNDS = 31
ENTRIES = 10_000
SAME_FIRST = 1000  # entries that begin with the most frequent word
NOUN = Tag("NOUN", "NN", {}, 0.9)


def dictionary(lines: Sequence[str]) -> Dictionary:
    """Returns a dictionary of these forms, which counts nothing."""
    return Dictionary(parse("".join(f"{forms}\t\tPROPN\n" for forms in lines), ("PROPN",)), lambda words: None)


def seconds(made: Dictionary, sentences: Sequence[Sequence[TokenSpan]]) -> float:
    """Returns the processor time of looking up all sentences."""
    tags = [[NOUN] * len(tokens) for tokens in sentences]
    began = time.process_time()
    finish(made.replace(sentences, tags))
    return time.process_time() - began


def main() -> None:
    """Prints the median of the rounds for each dictionary, and the quartiles."""
    lines = [line.split() for line in SENTENCES.read_text(encoding="utf-8").splitlines()]
    sentences = [[TokenSpan(word, 0, 0) for word in words] for words in lines if words]
    first, _ = Counter(word.lower() for words in lines for word in words).most_common(1)[0]
    others = [f"xq{i}" for i in range(ENTRIES)]
    began = time.process_time()
    made = {"1 entry": dictionary(others[:1]), f"{ENTRIES:,} entries": dictionary(others)}
    read = time.process_time() - began
    worst = [f"{first} {other}" for other in others[:SAME_FIRST]] + others[SAME_FIRST:]
    made[f"{ENTRIES:,}, {SAME_FIRST:,} of them with the first word {first!r}"] = dictionary(worst)
    gc.disable()
    rounds = [[seconds(one, sentences) for one in made.values()] for _ in range(ROUNDS)]
    print(f"{len(sentences):,} sentences, {ROUNDS} rounds; reading {ENTRIES:,} entries: {1000 * read:.0f} ms")
    for name, column in zip(made, zip(*rounds, strict=True), strict=True):
        low, middle, high = (1e6 * value / len(sentences) for value in statistics.quantiles(column, n=4))
        print(f"{name}: {middle:.2f} µs of processor time per sentence ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
