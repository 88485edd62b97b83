"""Cells around cells: dropout; and a trained initial state."""

import keras
from keras import ops

from training.cells import BasicCell, Cell, State, Tensor


class Dropout(Cell):
    """Dropout of the input, the output and the recurrent state of a cell, in training only.

        h' = step(m_x ⊙ x, m_h ⊙ h)      y = m_y ⊙ h'      each m: 0 with probability p, else 1 / (1 - p)

    m_h is applied in the product U h alone, and not where gates carry h and c over to h' and c', so that no part of the
    memory is lost (Semeniuta et al. 2016). The masks are drawn anew for each step, or, variational, once for all steps
    of a sequence (Gal and Ghahramani 2016). They are drawn before the loop and joined to its input, which
    must therefore be [T, B, I], and not with `unroll_embedded`. Dropout is on where
    Keras's own is: in a layer or model that is called with training=True.

    States: y, shape [D, B, H], if outputs are dropped; then the inner cell's.

    Args:
        inputs, outputs, state: p of each.
        variational: one mask for all steps.
    """

    def __init__(
        self, cell: Cell, *, inputs: float = 0.0, outputs: float = 0.0, state: float = 0.0, variational: bool = False
    ) -> None:
        super().__init__()
        if state and not isinstance(cell, BasicCell):
            raise ValueError(f"dropout of the state goes right around a cell with weights, not around {cell.name}")
        self.cell = cell
        self.directions = cell.directions
        shape = (1, None, None) if variational else None
        self.inputs, self.outputs, self.state = (
            keras.layers.Dropout(rate, noise_shape=shape) if rate else None for rate in (inputs, outputs, state)
        )
        self.output_limit = cell.output_limit  # once it is trained, and drops nothing

    @property
    def state_sizes(self) -> tuple[int, ...]:
        sizes = self.cell.state_sizes
        return (sizes[0], *sizes) if self.outputs else sizes

    def project(self, inputs: Tensor, direction: int) -> Tensor:
        """Returns what the inner cell makes of the input, the masks behind it: [T, B, I] -> [T, B, G (+ H) (+ H)]."""
        if len(inputs.shape) != 3:
            raise ValueError(f"dropout needs inputs [T, B, I], not {tuple(inputs.shape)}: see Dropout")
        steps, batch, _ = ops.shape(inputs)
        ones = ops.ones((steps, batch, self.cell.state_sizes[0]), inputs.dtype)
        masks = [dropout(ones) for dropout in (self.state, self.outputs) if dropout]
        inputs = self.inputs(inputs) if self.inputs else inputs
        return ops.concatenate([self.cell.project(inputs, direction), *masks], axis=-1)

    def step(self, x: Tensor, state: State) -> State:
        width = self.cell.state_sizes[0]
        inner = state
        if self.outputs:
            x, dropped = x[..., :-width], x[..., -width:]
            inner = state[1:]
        if self.state and isinstance(self.cell, BasicCell):
            x, recalled = x[..., :-width], x[..., -width:]
            after = self.cell.step(x, inner, seen=recalled * inner[0])
        else:
            after = self.cell.step(x, inner)
        return (dropped * after[0], *after) if self.outputs else after

    def round_weights(self, input_limit: float | None = None) -> list[str]:
        return self.cell.round_weights(input_limit)

    def restore_weights(self) -> None:
        self.cell.restore_weights()


class LearnedState(keras.layers.Layer):  # type: ignore[misc]
    """The state that a sequence starts from, learnt like a weight, zeros at first. Pass it to `unroll` as `state`."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.states = [
            self.add_weight(shape=(cell.directions, 1, size), initializer="zeros", name=f"state_{i}")
            for i, size in enumerate(cell.state_sizes)
        ]
        self.built = True

    def repeated(self, batch: int | Tensor) -> State:
        """Returns the state for a batch of that many rows; each of shape [D, B, size]."""
        return tuple(ops.repeat(state, batch, axis=1) for state in self.states)
