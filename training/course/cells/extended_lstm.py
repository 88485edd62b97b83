"""Long short-term memory with peepholes, a projection, or a clipped memory."""

from typing import Any

import keras
from keras import ops

from training.cells import LSTM, State, Tensor
from training.cells.integers import product, restore_weight, round_weight


class ExtendedLSTM(LSTM):
    """An LSTM with extensions.

        i, f = σ(W x + U h + p ⊙ c + b)      g = tanh(W x + U h + b)
        c' = clip(f ⊙ c + i ⊙ g)             o = σ(W x + U h + p ⊙ c' + b)
        m = o ⊙ tanh(c')                     h' = clip(P m), or m without a projection

    Peepholes p add the memory to the inputs of the gates (Gers and Schmidhuber 2000). A projection P makes the output,
    and with it the product U h, narrower than the memory (Sak et al. 2014). States: h, shape [D, B, projection or H];
    c, shape [D, B, H].

    Args:
        peepholes: whether there is p, shape [D, 1, 3 H].
        projection: width of the output, `units` by default.
        cell_clip, projection_clip: largest magnitude of the memory and of a projected output; none by default. Weights
            of outputs that are projected and not clipped stay floats, see `training.cells.integers`.
    """

    def __init__(
        self,
        input_size: int,
        units: int,
        directions: int = 1,
        *,
        peepholes: bool = False,
        projection: int | None = None,
        cell_clip: float | None = None,
        projection_clip: float | None = None,
    ) -> None:
        super().__init__(input_size, units, directions, recurrent_size=projection)
        self.cell_clip = cell_clip
        self.projection_clip = projection_clip
        self.output_limit = projection_clip if projection else 1.0
        self.peepholes = self._weight("peepholes", (1, 3 * units), keras.initializers.Zeros) if peepholes else None
        glorot = keras.initializers.GlorotUniform
        self.projection = self._weight("projection", (units, projection), glorot) if projection else None
        self.projection_scale: Any = None  # of integers

    def step(self, x: Tensor, state: State, seen: Tensor | None = None) -> State:
        h, c = state
        units = self.units
        gates = x + self.recur(h if seen is None else seen)
        i_f, g, o = ops.split(gates, [2 * units, 3 * units], axis=-1)
        if self.peepholes is not None:
            i_f = i_f + self.peepholes[..., : 2 * units] * ops.concatenate([c, c], axis=-1)
        i, f = ops.split(ops.sigmoid(i_f), 2, axis=-1)
        c = f * c + i * ops.tanh(g)
        c = _clip(c, self.cell_clip)
        if self.peepholes is not None:
            o = o + self.peepholes[..., 2 * units :] * c
        h = ops.sigmoid(o) * ops.tanh(c)
        if self.projection is not None:
            h = _clip(product(h, self.projection, self.projection_scale), self.projection_clip)
        return h, c

    def round_weights(self, input_limit: float | None = None) -> list[str]:
        if self.projection is not None:
            round_weight(self, "projection")  # of what has the limit 1
        return super().round_weights(input_limit)

    def restore_weights(self) -> None:
        if self.projection_scale is not None:
            restore_weight(self, "projection")
        super().restore_weights()


def _clip(x: Tensor, limit: float | None) -> Tensor:
    return x if limit is None else ops.clip(x, -limit, limit)
