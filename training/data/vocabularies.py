"""Makes vocabularies of the strings of a corpus."""

from collections import Counter
from collections.abc import Iterable, Mapping

from service.text.normalization import normalize
from service.text.vocabulary import Vocabulary


def counted(strings: Iterable[str] | Mapping[str, int], *, at_least: int = 1, lowercase: bool = False) -> Vocabulary:
    """Returns the vocabulary of strings, or counts, seen `at_least` times, most frequent first, ties by spelling."""
    merged: Counter[str] = Counter()
    for string, number in Counter(strings).items():
        merged[normalize(string).lower() if lowercase else string] += number
    kept = sorted((s for s, n in merged.items() if n >= at_least), key=lambda s: (-merged[s], s))
    return Vocabulary(kept, lowercase=lowercase)
