"""Learns how much each feature of a lemma speaks for it: a conditional log-linear model of a word's candidates."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from service.text.lemmatizer import KNOWN, LISTED, ODDS, RANKS, Features
from training.data.dataset import Array

START = {LISTED: 2.0, KNOWN: 0.5, ODDS: 0.5} | dict(
    zip(RANKS, (1.0, 0.0, -1.0), strict=True)
)  # where words say nothing
STRENGTH = 1.0  # of the pull towards START


class LemmaChoice(NamedTuple):
    """A word's candidates, and which of them its lemma is."""

    candidates: Sequence[Features]
    right: int


def learn_weights(choices: Sequence[LemmaChoice]) -> dict[str, float]:
    """Returns the weights that make the right lemmas most probable, with a penalty on their distance from START."""
    names = sorted({*START, *(name for choice in choices for own in choice.candidates for name in own)})
    columns = {name: i for i, name in enumerate(names)}
    rows = [own for choice in choices for own in choice.candidates]
    values = np.zeros((len(rows), len(names)))  # [candidates of all words, features]
    for row, own in enumerate(rows):
        for name, value in own.items():
            values[row, columns[name]] = value
    start = np.array([START.get(name, 0.0) for name in names])
    counts = np.array([len(choice.candidates) for choice in choices], np.int64)
    firsts = np.cumsum(counts) - counts  # the row of each word's first candidate
    right = firsts + np.array([choice.right for choice in choices], np.int64)

    def loss(weights: Array) -> tuple[float, Array]:
        scores = values @ weights
        highest = np.maximum.reduceat(scores, firsts)
        odds = np.exp(scores - np.repeat(highest, counts))
        sums = np.add.reduceat(odds, firsts)
        expected = (odds / np.repeat(sums, counts)) @ values
        distance = weights - start
        total = (highest + np.log(sums) - scores[right]).sum() + STRENGTH * distance @ distance
        return total, expected - values[right].sum(axis=0) + 2 * STRENGTH * distance

    found = minimize(loss, start, jac=True, method="L-BFGS-B").x if choices else start
    return {name: round(float(weight), 3) for name, weight in zip(names, found, strict=True) if round(weight, 3)}
