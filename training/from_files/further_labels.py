"""The labels of a tagger that goes on from a version: what it keeps, and what corrections bring."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.console import Console

from training.data.treebank import NOTHING, UNLABELLED, Tree
from training.tasks.tagging import HEADS

# The share of a column's words that have a tag of the version; with fewer, its tags are of another kind.
LEAST_KNOWN = 0.5
MOST_NEW = 0.25  # of the features that a version has, at most, are replaced by features of corrections


def replaced(own: Sequence[str], frequent: Sequence[str]) -> tuple[str, ...]:
    """Returns the labels of a head; rare ones are replaced by others. frequent: the most frequent first."""
    kept = frequent[: len(own)]
    new = iter([label for label in kept if label not in own])
    return tuple(label if label in kept else next(new, label) for label in own)


def with_new(own: Sequence[str], found: Sequence[str]) -> tuple[str, ...]:
    """Returns the labels of a head, those found that it lacks first, in place of the last ones, the rarest.

    Being first, they are not the ones that the next corrections replace.

    Args:
        found: of corrections, the most frequent first. They stay, and of the new ones as many as there is room for.
    """
    rarest = [label for label in reversed(own) if label not in found][: int(MOST_NEW * len(own))]
    new = [label for label in found if label not in own][: len(rarest)]
    return (*new, *(label for label in own if label not in rarest[: len(new)]))


def nearest(label: str, others: Sequence[str]) -> str:
    """Returns the features that have most attributes in common with others."""
    own = set(label.split("|"))
    return max(others, key=lambda other: len(own & set(other.split("|"))) - len(own ^ set(other.split("|"))))


def learnable_columns(trees: Sequence[Tree], labels: Mapping[str, Sequence[str]], console: Console) -> list[str]:
    """Returns the columns that a version can learn of corrections; says which it cannot, where they have tags."""
    found = []
    for column, name in HEADS.items():
        tags = [tag for tree in trees for word in tree.words if (tag := getattr(word, column)) != NOTHING]
        if not tags or len(labels[column]) == 1:
            continue
        known = sum(tag in labels[column] for tag in tags) / len(tags)
        if known >= LEAST_KNOWN:
            found.append(column)
        else:
            console.print(f"{name}: not learned, since {1 - known:.0%} of the tags are not those of the model")
    return found


def with_columns(tree: Tree, columns: Sequence[str], labels: Mapping[str, Sequence[str]]) -> Tree:
    """Returns a sentence whose words are UNLABELLED in all other columns, and where a column has "_" for no tag."""
    words = []
    for word in tree.words:
        kept = {c: getattr(word, c) for c in columns if getattr(word, c) != NOTHING or NOTHING in labels[c]}
        words.append(word._replace(**{column: kept.get(column, UNLABELLED) for column in HEADS}))
    return replace(tree, words=tuple(words))
