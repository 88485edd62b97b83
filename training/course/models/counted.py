"""Baselines that are counted and not trained: the most frequent tag, and a Markov chain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from service.text.vocabulary import UNK
from training.cells import Tensor
from training.data.dataset import Array, Example

SMALL = 1e-6  # stands for a count of nothing
KAPPA = 5.0  # κ: occurrences of a context at which its counts weigh as much as the shorter context's


@dataclass(frozen=True, kw_only=True)
class MostFrequentTagSizes:
    """The network has no sizes."""

    def network(self, words: int, characters: int, labels: Mapping[str, int]) -> "MostFrequentTag":
        """Builds the tagger; arguments as of a Tagger."""
        return MostFrequentTag(words, labels)


class MostFrequentTag(keras.Model):  # type: ignore[misc]
    """Predicts the most frequent label of a word. An unknown word gets the most frequent label of rare words.

    Args:
        words, labels: as of a Tagger.
    """

    def __init__(self, words: int, labels: Mapping[str, int]) -> None:
        super().__init__()
        self.tables = {
            head: self.add_weight(shape=(words, size), initializer="zeros", trainable=False, name=head)
            for head, size in labels.items()
        }
        self.built = True

    def count(self, train: Sequence[Example]) -> None:
        """Counts the labels of each word."""
        word_ids = np.concatenate([example.inputs["word_ids"] for example in train])
        for head, table in self.tables.items():
            counts = np.zeros(table.shape)
            np.add.at(counts, (word_ids, np.concatenate([example.targets[head] for example in train])), 1)
            counts[UNK] += counts[counts.sum(axis=1) == 1].sum(axis=0)
            table.assign(np.log(counts + SMALL))

    def call(self, word_ids: Tensor, char_ids: Tensor, lengths: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Returns logits, shape [B, T, K] for each head."""
        return {head: ops.take(table, word_ids, axis=0) for head, table in self.tables.items()}


@dataclass(frozen=True, kw_only=True)
class MarkovChainSizes:
    """How many characters the next one depends on."""

    order: int = 2

    def network(self, characters: int) -> "MarkovChain":
        """Builds the chain. characters: number of ids of the vocabulary."""
        return MarkovChain(characters, self)


class MarkovChain(keras.Model):  # type: ignore[misc]
    """The next character by the last few (Markov 1913).

    p(c | abc) = (n(abc c) + κ p(c | bc)) / (n(abc) + κ): where little was counted, the shorter context decides (MacKay
    and Peto 1995). The state is the last characters, float32, shape [B, order], PAD before the first.
    """

    def __init__(self, characters: int, sizes: MarkovChainSizes) -> None:
        super().__init__()
        self.state_size = sizes.order
        self.characters = characters
        self.table = self.add_weight(
            shape=(characters**sizes.order, characters), initializer="zeros", trainable=False, name="table"
        )
        self.built = True

    def count(self, train: Array) -> None:
        """Counts what follows what in a text, shape [N]."""
        share = np.full((1, self.characters), 1 / self.characters)
        padded = np.concatenate([np.zeros(self.state_size, train.dtype), train])
        for order in range(self.state_size + 1):
            context = np.zeros(len(train), np.int64)
            for back in range(order, 0, -1):
                context = context * self.characters + padded[self.state_size - back : len(padded) - back]
            counts = np.zeros((self.characters**order, self.characters))
            np.add.at(counts, (context, train), 1)
            shorter = np.tile(share, (len(counts) // len(share), 1))
            share = (counts + KAPPA * shorter) / (counts.sum(axis=1, keepdims=True) + KAPPA)
        self.table.assign(np.log(share))

    def next(self, ids: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits after the last valid position, shape [B, V], and the state there, shape [B, order]."""
        read = ops.concatenate([ops.cast(state, "int32"), ids], axis=1)
        places = ops.expand_dims(lengths, 1) + ops.arange(self.state_size, dtype="int32")
        last = ops.take_along_axis(read, places, axis=1)  # [B, order]
        scale = ops.convert_to_tensor([self.characters**back for back in reversed(range(self.state_size))], "int32")
        return ops.take(self.table, ops.sum(last * scale, axis=1), axis=0), ops.cast(last, "float32")
