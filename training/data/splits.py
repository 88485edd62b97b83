"""Divides examples into train, dev and test, and removes examples that occur in two of the splits."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from training.data.dataset import Array

T = TypeVar("T")
HoldOut: TypeAlias = Callable[[Sequence[T], np.random.Generator], Array]  # which examples to hold out, bool, shape [N]

SHARE = 0.1  # of the examples, for dev and for test
LEAST_DOCUMENTS = 20  # with fewer, single sentences are held out


def complete(splits: Mapping[str, Sequence[T]], hold_out: HoldOut[T], seed: int) -> dict[str, list[T]]:
    """Returns train, dev and test. Where dev or test is missing, a part of train is held out for it."""
    rng = np.random.default_rng(seed)
    found = {name: list(examples) for name, examples in splits.items()}
    for name in ("test", "dev"):
        if name not in found:
            held = hold_out(found["train"], rng)
            for part, wanted in ((name, held), ("train", ~held)):
                found[part] = [example for example, take in zip(list(found["train"]), wanted, strict=True) if take]
    return found


def shuffled(examples: Sequence[T], seed: int) -> list[T]:
    """Returns the examples in random order, so that the first of them are a fair sample."""
    return [examples[i] for i in np.random.default_rng(seed).permutation(len(examples))]


def sample(examples: Sequence[T], count: int | None, seed: int) -> list[T]:
    """Returns `count` random examples, or all for None, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(examples))[:count]
    return [examples[i] for i in sorted(chosen.tolist())]


def by_label(label: Callable[[T], Hashable]) -> HoldOut[T]:
    """Returns a function that holds out SHARE of the examples of each label, one at least."""

    def hold_out(examples: Sequence[T], rng: np.random.Generator) -> Array:
        places = defaultdict(list)
        for i, example in enumerate(examples):
            places[label(example)].append(i)
        held = np.zeros(len(examples), bool)
        for own in places.values():
            held[rng.permutation(own)[: max(1, round(SHARE * len(own)))]] = True
        return held

    return hold_out


def by_document(document: Callable[[T], int]) -> HoldOut[T]:
    """Returns a function that holds out documents with SHARE of the examples; single examples if documents are few."""

    def hold_out(examples: Sequence[T], rng: np.random.Generator) -> Array:
        numbers = np.array([document(example) for example in examples])
        if len(set(numbers.tolist())) < LEAST_DOCUMENTS:
            numbers = np.arange(len(examples))
        names, members = np.unique(numbers, return_inverse=True)
        order = rng.permutation(len(names))
        before = np.cumsum(np.bincount(members)[order]) - np.bincount(members)[order]  # examples of documents before
        held: Array = np.isin(members, order[before < SHARE * len(examples)])
        return held

    return hold_out


def without_overlap(
    splits: Mapping[str, Sequence[T]], content: Callable[[T], Hashable]
) -> tuple[dict[str, list[T]], dict[str, int]]:
    """Leaves out of train what dev or test have as well, and out of dev what test has.

    Returns:
        The splits, and how many examples were left out of each.
    """
    seen: set[Hashable] = set()
    kept: dict[str, list[T]] = {}
    for name in ("test", "dev", "train"):
        kept[name] = [example for example in splits[name] if content(example) not in seen]
        seen |= {content(example) for example in splits[name]}
    return kept, {name: len(splits[name]) - len(kept[name]) for name in ("train", "dev")}
