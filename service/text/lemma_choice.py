"""What speaks for each lemma that a word may have, where the treebank's dictionary lacks the word with its tags.

A word's candidates are the lemmas by its most probable rules, and the one that a lexicon lists. Each has features, and
the one with the highest sum of their weights is taken. Training learns the weights (`training.models.lemma_weights`).
"""

from collections.abc import Mapping

import numpy as np

Features = dict[str, float]  # name -> value

RANKS = ("rule 1", "rule 2", "rule 3")  # the lemma is by the most probable rule that makes it, the next, the third
ODDS = "odds"  # of the most probable rule, of a lemma that is by this rule
LISTED = "listed"  # the lexicon lists the lemma for the word, but for upper and lower case
LISTED_SO = "listed so"  # the lexicon lists it as it is written
KNOWN = "known"  # the lemma is one of the treebank's
PLAIN: Mapping[str, float] = {LISTED_SO: 100.0} | dict(
    zip(RANKS, (3.0, 2.0, 1.0), strict=True)
)  # where none are learned
MOST_ODDS = 7
ODDS_LIMITS = 1 / (1 + np.exp(0.5 + MOST_ODDS - np.arange(1, 2 * MOST_ODDS + 1)))  # probabilities where `odds` changes
LOWER, FIRST, UPPER, MIXED = "lower", "first", "upper", "mixed"


def odds(probability: float) -> int:
    """Returns the logarithm of the odds of a probability, to the next integer, from -MOST_ODDS to MOST_ODDS.

    So few values occur that a cache can have them in its keys.
    """
    return int(ODDS_LIMITS.searchsorted(probability)) - MOST_ODDS


def features(lemma: str, form: str, upos: str, rank: int | None, odds: int) -> Features:
    """Returns the features of a lemma, but LISTED, LISTED_SO and KNOWN.

    Args:
        rank: of the rule that makes it, 0 for the most probable; None if none does.
        odds: of the most probable rule.
    """
    found: Features = {}
    if (written := casing(form)) in (FIRST, MIXED):  # a text in lower case or in capitals has no capitals of names
        found[f"{upos} {written} {casing(lemma)}"] = 1.0
    if rank is not None:
        found[RANKS[rank]] = 1.0
    if rank == 0:
        found[ODDS] = odds
    return found


def total(features: Features, weights: Mapping[str, float]) -> float:
    """Returns the sum of weighted features; those that have no weight do not count."""
    return sum(weights.get(name, 0.0) * value for name, value in features.items())


def casing(text: str) -> str:
    """Returns how a word is written: "lower", "upper", "first" for a capital at its start alone, or "mixed"."""
    lower = text.lower()
    if text == lower:
        return LOWER
    if text[1:] == lower[1:]:
        return FIRST
    return UPPER if text == text.upper() else MIXED
