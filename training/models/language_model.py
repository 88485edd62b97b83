"""A language model over characters: stacked recurrent layers and logits of the next character."""

from dataclasses import dataclass
from itertools import pairwise

import keras
import numpy as np
from keras import ops

from training.cells import KINDS, Cell, Residual, State, Tensor
from training.cells.served_loops import unroll_rows
from training.cells.unroll import unroll, unroll_projected
from training.models.layers import Head


@dataclass(frozen=True, kw_only=True)
class LanguageModelSizes:
    """Kind, widths and number of the layers, and dropout.

    Attributes:
        cell: a name of training.cells.KINDS.
        residual: whether each layer above the first adds its input to its output.
    """

    cell: str = "lstm"
    embedding: int = 64
    units: int = 512
    layers: int = 1
    residual: bool = False
    inner_dropout: float = 0.3  # between layers
    output_dropout: float = 0.5

    def network(self, characters: int) -> "LanguageModel":
        """Builds the model. characters: number of ids of the vocabulary."""
        return LanguageModel(characters, self)


class LanguageModel(keras.Model):  # type: ignore[misc]
    """Computes the logits of each next character (Graves 2013), with dropout between layers only (Zaremba et al. 2014).

    The states of all layers lie flat, one row for each text, float32, shape [B, S]: of an LSTM, h and c of the first
    layer, then of the second, and so on. Zeros are the start of a text.

    Args:
        characters: number of ids of the vocabulary, V.
    """

    def __init__(self, characters: int, sizes: LanguageModelSizes) -> None:
        super().__init__()
        self.embedding = self.add_weight(
            shape=(characters, sizes.embedding), initializer="random_normal", name="embedding"
        )
        kind = KINDS[sizes.cell]
        first = kind(sizes.embedding, sizes.units)
        width = first.state_sizes[0]
        above = [kind(width, sizes.units) for _ in range(sizes.layers - 1)]
        self.cells = [first, *(map(Residual, above) if sizes.residual else above)]
        self.inner_dropout = keras.layers.SpatialDropout1D(sizes.inner_dropout)
        self.output_dropout = keras.layers.SpatialDropout1D(sizes.output_dropout)
        self.head = Head(width, characters)
        self.state_size = sum(sum(cell.state_sizes) for cell in self.cells)
        self.projected_size = first.gates * sizes.units
        self.built = True

    def call(self, ids: Tensor, lengths: Tensor, state: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Reads texts on from a state.

        Args:
            ids: [B, T] int32.
            lengths: characters of each row, int32, shape [B].
            state: [B, S] float32.

        Returns:
            logits: of the character after each position, shape [B, T, V].
            state: after the last valid position, shape [B, S].
        """
        outputs, states = self._read(self._look_up(ids), lengths, state, training)
        outputs = self.output_dropout(outputs, training=training)
        return self.head(outputs), _flat(states)

    def next(self, ids: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Reads texts as `call` does; its logits are those after the last valid position alone, shape [B, V]."""
        _, states = self._read(self._look_up(ids), lengths, state, training=False)
        return self._scores(states), _flat(states)

    def project(self) -> Tensor:
        """Returns the input product of every character, shape [V, G]."""
        return self.cells[0].project_all(self.embedding)

    def next_from_table(self, table: Tensor, ids: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Computes `next` from the result of `project`, a table of shape [V, G]."""
        first, *others = zip(self.cells, self._layered(state), strict=True)
        cell, before = first
        outputs, after = unroll_rows(cell, table, ids, lengths, before)
        _, states = self._read_on((outputs, after), others, lengths, training=False)
        return self._scores(states), _flat(states)

    def round_weights(self) -> list[str]:
        """Turns the weights of the step into integers; returns the names of weights that stay floats."""
        limits = [None, *(cell.output_limit for cell in self.cells)]
        kept = [name for cell, limit in zip(self.cells, limits, strict=False) for name in cell.round_weights(limit)]
        return kept + self.head.round_weights(limits[-1])

    def restore_weights(self) -> None:
        """Turns integers into floats again."""
        for part in (*self.cells, self.head):
            part.restore_weights()

    def _scores(self, states: list[State]) -> Tensor:
        """Returns the logits of the next character, shape [B, V]."""
        last = states[-1][0]  # h of the highest layer, [1, B, H]
        return self.head(last[0])

    def _look_up(self, ids: Tensor) -> Tensor:
        return ops.take(self.project(), ids, axis=0)  # [B, T, G]

    def _read(self, projected: Tensor, lengths: Tensor, state: Tensor, training: bool) -> tuple[Tensor, list[State]]:
        first, *others = zip(self.cells, self._layered(state), strict=True)
        cell, before = first
        return self._read_on(unroll_projected(cell, projected, lengths, before), others, lengths, training)

    def _read_on(
        self, first: tuple[Tensor, State], others: list[tuple[Cell, State]], lengths: Tensor, training: bool
    ) -> tuple[Tensor, list[State]]:
        """Runs the layers above the first layer, whose outputs and last state are given."""
        outputs, after = first
        states = [after]
        for cell, before in others:
            outputs, after = unroll(cell, self.inner_dropout(outputs, training=training), lengths, before)
            states.append(after)
        return outputs, states

    def _layered(self, state: Tensor) -> list[State]:
        """Cuts flat states [B, S] into the states of each layer, each [1, B, H]."""
        layers, start = [], 0
        for cell in self.cells:
            ends = np.cumsum([start, *cell.state_sizes]).tolist()
            layers.append(tuple(ops.expand_dims(state[:, a:b], 0) for a, b in pairwise(ends)))
            start = ends[-1]
        return layers


def _flat(states: list[State]) -> Tensor:
    return ops.cast(ops.concatenate([part[0] for state in states for part in state], axis=-1), "float32")
