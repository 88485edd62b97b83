"""What a tagger reads in training beside the sentences of the treebank: restyled sentences, and dropped words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from service.text.vocabulary import UNK, Vocabulary
from training.data.dataset import Array, Batch, Example
from training.data.running_text import CASES
from training.data.treebank import Tree

TEACHER_LABELS = 4  # the most probable labels of each head that a teacher gives for a word


def restyled(trees: Sequence[Tree], share: float, rng: np.random.Generator) -> list[Tree]:
    """Returns a random share of sentences, each in another case: in lower case, in capitals, or capitalized."""
    count = round(share * len(trees))
    rows = rng.permutation(len(trees))[:count].tolist()
    found = []
    for i, case in zip(rows, rng.choice(list(CASES), count).tolist(), strict=True):
        words = tuple(word._replace(form=CASES[case](word.form)) for word in trees[i].words)
        found.append(replace(trees[i], words=words))
    return found


def drawn_cases(count: int, share: float, rng: np.random.Generator) -> list[str]:
    """Returns the case of each of `count` sentences: of a random share one of CASES, of the others "", as they are."""
    cases: list[str] = rng.choice(["", *CASES], count, p=[1 - share, *[share / len(CASES)] * len(CASES)]).tolist()
    return cases


def with_shares(example: Example) -> Example:
    """Returns an example of the treebank in the form of a distilled one: its label has the probability 1."""
    targets = {}
    for head, ids in example.targets.items():
        targets[head] = np.stack([ids] * TEACHER_LABELS, axis=-1)
        targets[f"{head}_shares"] = np.eye(1, TEACHER_LABELS, dtype=np.float32).repeat(len(ids), axis=0)
    return replace(example, targets=targets)


def word_dropout(counts: Mapping[str, int], words: Vocabulary, rate: float) -> Array:
    """Returns the probability with which each word becomes UNK, float64, shape [V]: a / (a + n).

    Args:
        counts: n, the occurrences of each word.
        rate: a.
    """
    seen = np.zeros(len(words))
    for word, count in counts.items():
        seen[words.id(word)] += count
    drop: Array = np.where(seen > 0, rate / np.maximum(rate + seen, 1.0), 0.0)
    drop[UNK] = 0.0
    return drop


def with_dropped_words(batch: Batch, drop: Array, rng: np.random.Generator) -> Batch:
    """Replaces words by UNK, so that its embedding is trained, and lists each form once.

    Args:
        batch: with word_ids, [B, T], and char_ids, [B, T, C].
        drop: the probability for each word of the vocabulary, shape [V].

    Returns:
        A batch with word_ids, [B, T], char_ids of each distinct form, [F, C], and the form of each word, [B, T].
    """
    word_ids, char_ids = batch.inputs["word_ids"], batch.inputs["char_ids"]
    word_ids = np.where(rng.random(word_ids.shape) < drop[word_ids], UNK, word_ids).astype(np.int32)
    char_ids, forms = np.unique(char_ids.reshape(-1, char_ids.shape[-1]), axis=0, return_inverse=True)
    forms = forms.reshape(word_ids.shape).astype(np.int32)
    return Batch(batch.inputs | {"word_ids": word_ids, "char_ids": char_ids, "forms": forms}, batch.targets)
