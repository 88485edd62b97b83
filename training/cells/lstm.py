"""Long short-term memory."""

from keras import ops

from training.cells.base import BasicCell, State, Tensor


class LSTM(BasicCell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) with a forget gate (Gers et al. 2000).

        i, f, o = σ(W x + U h + b)      g = tanh(W x + U h + b)
        c' = f ⊙ c + i ⊙ g              h' = o ⊙ tanh(c')

    States: h and c, each of shape [D, B, H].

    Args:
        forget_bias: initial bias of the forget gate; 1 keeps the memory at first (Jozefowicz et al. 2015).
        recurrent_size: width of the output in a subclass that projects it.
    """

    gates = 4  # i, f, g, o
    output_limit: float | None = 1.0

    def __init__(
        self,
        input_size: int,
        units: int,
        directions: int = 1,
        *,
        forget_bias: float = 1.0,
        recurrent_size: int | None = None,
    ) -> None:
        super().__init__(input_size, units, directions, recurrent_size)
        forget = ops.concatenate([ops.zeros(units), forget_bias * ops.ones(units), ops.zeros(2 * units)])
        self.bias.assign(ops.broadcast_to(forget, self.bias.shape))

    @property
    def state_sizes(self) -> tuple[int, ...]:
        return (self.recurrent_kernel.shape[1], self.units)

    def step(self, x: Tensor, state: State, seen: Tensor | None = None) -> State:
        h, c = state
        gates = x + self.recur(h if seen is None else seen)
        i_f, g, o = ops.split(gates, [2 * self.units, 3 * self.units], axis=-1)
        i, f = ops.split(ops.sigmoid(i_f), 2, axis=-1)  # one operation compiles faster than two
        c = f * c + i * ops.tanh(g)
        return ops.sigmoid(o) * ops.tanh(c), c
