"""The gated recurrent unit."""

import keras
from keras import ops

from training.cells.base import BasicCell, State, Tensor


class GRU(BasicCell):
    """Gated recurrent unit (Cho et al. 2014), the reset gate applied after the product, as cuDNN does.

        r, z = σ(W x + U h + b)
        n = tanh(W x + b + r ⊙ (U h + d))
        h' = z ⊙ h + (1 - z) ⊙ n

    One product `U h` serves all three. States: h, shape [D, B, H].
    """

    gates = 3  # r, z, n
    output_limit = 1.0

    def __init__(self, input_size: int, units: int, directions: int = 1) -> None:
        super().__init__(input_size, units, directions)
        self.candidate_bias = self._weight("candidate_bias", (1, units), keras.initializers.Zeros)

    def step(self, x: Tensor, state: State, seen: Tensor | None = None) -> State:
        (h,) = state
        gates = 2 * self.units
        x_gates, x_candidate = ops.split(x, [gates], axis=-1)
        h_gates, h_candidate = ops.split(self.recur(h if seen is None else seen), [gates], axis=-1)
        r, z = ops.split(ops.sigmoid(x_gates + h_gates), 2, axis=-1)
        recalled = r * (h_candidate + self.candidate_bias)
        return (z * h + (1 - z) * ops.tanh(x_candidate + recalled),)
