"""A residual connection around a cell."""

from keras import ops

from training.cells.base import Cell, State, Tensor


class Residual(Cell):
    """Adds the input to the output: y = x + h' (He et al. 2016; Prakash et al. 2016). Both have the same width.

    States: y, shape [D, B, H], then the inner cell's.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell
        self.directions = cell.directions

    @property
    def state_sizes(self) -> tuple[int, ...]:
        return (self.cell.state_sizes[0], *self.cell.state_sizes)

    def project(self, inputs: Tensor, direction: int) -> Tensor:
        """Returns the input behind what the inner cell makes of it: [..., I = H] -> [..., G + H]."""
        width = self.cell.state_sizes[0]
        if inputs.shape[-1] != width:
            raise ValueError(f"a residual cell {width} wide adds its input, which is {inputs.shape[-1]} wide")
        return ops.concatenate([self.cell.project(inputs, direction), inputs], axis=-1)

    def step(self, x: Tensor, state: State) -> State:
        split = x.shape[-1] - self.cell.state_sizes[0]
        after = self.cell.step(x[..., :split], state[1:])
        return (x[..., split:] + after[0], *after)

    def round_weights(self, input_limit: float | None = None) -> list[str]:
        return self.cell.round_weights(input_limit)

    def restore_weights(self) -> None:
        self.cell.restore_weights()
