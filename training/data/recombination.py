"""New sentences from the phrases of a treebank: a phrase is replaced by another that stands between the same two words.

Where "a [charming] film" and "a [dull and endless] film" are read, each of the two phrases fits in place of the other.
Most of the sentences made so are nearly grammatical, and all are in the treebank's own words. Andreas (2020),
Good-Enough Compositional Data Augmentation. They have no grade: a teacher reads them.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from training.data.sst import Phrase

LONGEST = 8  # in words, of a phrase that is replaced or put in its place
REPLACEMENTS = 3  # at most, in a sentence

Words = tuple[str, ...]
Neighbours = tuple[str | None, str | None]  # the words before and after, None at an end of the sentence


def recombined(trees: Sequence[Sequence[Phrase]], tokens: int, seed: int) -> list[Words]:
    """Returns different new sentences with this many tokens in total, or fewer where the phrases give no more.

    Args:
        trees: the phrases of each tree, the whole sentence last.
    """
    rng = np.random.default_rng(seed)
    replaceable = [_replaceable(tree) for tree in trees]
    known: defaultdict[Neighbours, dict[Words, None]] = defaultdict(dict)  # each phrase once, in order of occurrence
    for phrases in replaceable:
        for phrase, neighbours in phrases:
            known[neighbours][phrase.tokens] = None
    choices = {neighbours: list(phrases) for neighbours, phrases in known.items()}
    made = {tree[-1].tokens: None for tree in trees}
    originals, in_vain = len(made), 0
    while tokens > 0 and in_vain < 10 * len(trees):
        i = int(rng.integers(len(trees)))
        sentence = _with_replacements(trees[i][-1].tokens, replaceable[i], choices, rng)
        if sentence in made:
            in_vain += 1
            continue
        made[sentence] = None
        tokens -= len(sentence)
    return list(made)[originals:]


def _replaceable(tree: Sequence[Phrase]) -> list[tuple[Phrase, Neighbours]]:
    """Returns the phrases of a sentence that are short and not the whole of it, with their neighbours."""
    words = (None, *(token.lower() for token in tree[-1].tokens), None)
    return [
        (phrase, (words[phrase.start], words[phrase.start + len(phrase.tokens) + 1]))
        for phrase in tree[:-1]
        if len(phrase.tokens) <= LONGEST
    ]


def _with_replacements(
    words: Words,
    phrases: Sequence[tuple[Phrase, Neighbours]],
    choices: dict[Neighbours, list[Words]],
    rng: np.random.Generator,
) -> Words:
    """Returns a sentence in which up to REPLACEMENTS phrases that are apart from each other are others."""
    wanted, free, changed = int(rng.integers(1, REPLACEMENTS + 1)), [True] * len(words), dict[int, tuple[int, Words]]()
    for i in rng.permutation(len(phrases)):
        phrase, neighbours = phrases[i]
        end = phrase.start + len(phrase.tokens)
        others = choices[neighbours]
        if len(others) > 1 and all(free[max(phrase.start - 1, 0) : end + 1]):  # its neighbours stay what they are
            changed[phrase.start] = end, others[rng.integers(len(others))]
            free[phrase.start : end] = [False] * len(phrase.tokens)
            if len(changed) == wanted:
                break
    result, position = list[str](), 0
    for start, (end, other) in sorted(changed.items()):
        result += [*words[position:start], *other]
        position = end
    return (*result, *words[position:])
