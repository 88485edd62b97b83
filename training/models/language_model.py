"""A language model over characters: LSTMs, one above the other, and a score for every next character."""

from dataclasses import dataclass

import keras
from keras import ops

from training.cells import LSTM, State, Tensor
from training.unroll import project, unroll, unroll_projected


@dataclass(frozen=True, kw_only=True)
class LanguageModelSizes:
    """Widths and number of the layers, and dropout."""

    embedding: int = 64
    units: int = 512
    layers: int = 1
    inner_dropout: float = 0.3  # between layers
    output_dropout: float = 0.5


class LanguageModel(keras.Model):  # type: ignore[misc]
    """Scores of each next character (Graves 2013), the dropout only where no time passes (Zaremba et al. 2014).

    The states of all layers lie flat, one row for each text  # [B, S] float32: h and c of the first layer, then of
    the second, and so on. Zeros are the start of a text.

    Args:
        characters: number of ids of the vocabulary, V.
    """

    def __init__(self, characters: int, sizes: LanguageModelSizes) -> None:
        super().__init__()
        self.embedding = self.add_weight(
            shape=(characters, sizes.embedding), initializer="random_normal", name="embedding"
        )
        widths = [sizes.embedding] + [sizes.units] * (sizes.layers - 1)
        self.lstms = [LSTM(width, sizes.units) for width in widths]
        self.inner_dropout = keras.layers.SpatialDropout1D(sizes.inner_dropout)
        self.output_dropout = keras.layers.SpatialDropout1D(sizes.output_dropout)
        self.head = keras.layers.Dense(characters)
        self.head.build((None, sizes.units))
        self.state_size = sum(sum(lstm.state_sizes) for lstm in self.lstms)
        self.projected_size = LSTM.gates * sizes.units
        self.built = True

    def call(self, ids: Tensor, lengths: Tensor, state: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Reads texts on from a state.

        Args:
            ids: [B, T] int32.
            lengths: characters of each row  # [B] int32.
            state: [B, S] float32.

        Returns:
            logits: of the character after each position  # [B, T, V].
            state: after the last valid position  # [B, S].
        """
        outputs, states = self._read(self._look_up(ids), lengths, state, training)
        outputs = self.output_dropout(outputs, training=training)
        return self.head(outputs), _flat(states)

    def next(self, ids: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Does the same, with the logits after the last valid position alone  # [B, V]."""
        return self.next_projected(self._look_up(ids), lengths, state)

    def project(self) -> Tensor:
        """Returns the input product of every character  # [V, G]."""
        return project(self.lstms[0], self.embedding)

    def next_projected(self, projected: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Does what `next` does from what `project` made of the characters  # [B, T, G]."""
        _, states = self._read(projected, lengths, state, training=False)
        last, _ = states[-1]  # h of the highest layer, [1, B, H]
        return self.head(last[0]), _flat(states)

    def _look_up(self, ids: Tensor) -> Tensor:
        return ops.take(self.project(), ids, axis=0)  # [B, T, G]

    def _read(self, projected: Tensor, lengths: Tensor, state: Tensor, training: bool) -> tuple[Tensor, list[State]]:
        first, *others = zip(self.lstms, self._layered(state), strict=True)
        lstm, before = first
        outputs, after = unroll_projected(lstm, projected, lengths, before)
        states = [after]
        for lstm, before in others:
            outputs, after = unroll(lstm, self.inner_dropout(outputs, training=training), lengths, before)
            states.append(after)
        return outputs, states

    def _layered(self, state: Tensor) -> list[State]:
        """Cuts flat states [B, S] into h and c  # [1, B, H] of each layer."""
        parts = ops.split(ops.expand_dims(state, 0), 2 * len(self.lstms), axis=-1)
        return list(zip(parts[::2], parts[1::2], strict=True))


def _flat(states: list[State]) -> Tensor:
    return ops.concatenate([part[0] for state in states for part in state], axis=-1)
