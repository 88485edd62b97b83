"""Recurrent cells: one step each, for one direction or for two at once. `training.unroll` runs them.

A cell's weights and states have a leading axis of directions, D = 1 or 2, so that the step of a bidirectional
layer is one batched product `[2, B, H] x [2, H, G]` and not two. What a step needs of the input alone, G
numbers for its gates, is `project`: computed for all steps at once, before the loop. `step` is what is left
inside it. A new cell states its `gates`, its `state_sizes`, its weights and its `step`.

Written with keras.ops: any backend of Keras runs them.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import keras
from keras import ops

Tensor: TypeAlias = Any  # a tensor of whichever backend Keras runs on
State: TypeAlias = tuple[Tensor, ...]  # each [D, B, size] float32, sizes as Cell.state_sizes


class Cell(keras.layers.Layer):  # type: ignore[misc]
    """Base of the cells. The first state is the cell's output, H = `units` wide.

    Args:
        input_size: I, width of the input.
        units: H, width of the output.
        directions: D, 1 or 2.
    """

    gates: ClassVar[int]  # G / H

    def __init__(self, input_size: int, units: int, directions: int = 1) -> None:
        super().__init__()
        self.units = units
        self.directions = directions
        width = self.gates * units
        glorot, orthogonal = keras.initializers.GlorotUniform, keras.initializers.Orthogonal
        self.kernel = self._weight("kernel", (input_size, width), glorot)
        self.recurrent_kernel = self._weight("recurrent_kernel", (units, width), orthogonal)
        self.bias = self._weight("bias", (width,), keras.initializers.Zeros)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Width of each state."""
        return (self.units,)

    def project(self, inputs: Tensor, direction: int) -> Tensor:
        """Returns what the steps of a direction need of the inputs: [..., I] -> [..., G]."""
        return ops.matmul(inputs, self.kernel[direction]) + self.bias[direction]

    def step(self, x: Tensor, state: State) -> State:
        """Returns the state after one step. x: projected input  # [D, B, G]."""
        raise NotImplementedError

    def _weight(self, name: str, shape: tuple[int, ...], initializer: Callable[[], Any]) -> Any:
        """Adds a weight [D, *shape], each direction drawn by its own initializer: one repeats itself."""

        def initial(shape: tuple[int, ...], dtype: Any) -> Tensor:
            return ops.stack([initializer()(shape[1:], dtype) for _ in range(shape[0])])

        return self.add_weight(shape=(self.directions, *shape), initializer=initial, name=name)


class LSTM(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) with a forget gate (Gers et al. 2000).

        i, f, o = σ(W x + U h + b)      g = tanh(W x + U h + b)
        c' = f ⊙ c + i ⊙ g              h' = o ⊙ tanh(c')

    The bias of the forget gate starts at 1 (Jozefowicz et al. 2015), so that a fresh cell remembers.
    States: h, c.
    """

    gates = 4  # i, f, g, o

    def __init__(self, input_size: int, units: int, directions: int = 1) -> None:
        super().__init__(input_size, units, directions)
        forget = ops.concatenate([ops.zeros(units), ops.ones(units), ops.zeros(2 * units)])
        self.bias.assign(ops.broadcast_to(forget, self.bias.shape))

    @property
    def state_sizes(self) -> tuple[int, ...]:
        return (self.units, self.units)

    def step(self, x: Tensor, state: State) -> State:
        h, c = state
        i, f, g, o = ops.split(x + ops.matmul(h, self.recurrent_kernel), 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        return ops.sigmoid(o) * ops.tanh(c), c


class GRU(Cell):
    """Gated recurrent unit (Cho et al. 2014), the reset gate applied after the product, as cuDNN does.

        r, z = σ(W x + U h + b)
        n = tanh(W x + b + r ⊙ (U h + d))
        h' = z ⊙ h + (1 - z) ⊙ n

    With the reset after the product, one product `U h` serves all three. States: h.
    """

    gates = 3  # r, z, n

    def __init__(self, input_size: int, units: int, directions: int = 1) -> None:
        super().__init__(input_size, units, directions)
        self.candidate_bias = self._weight("candidate_bias", (1, units), keras.initializers.Zeros)

    def step(self, x: Tensor, state: State) -> State:
        (h,) = state
        x_gates, x_candidate = ops.split(x, [2 * self.units], axis=-1)
        h_gates, h_candidate = ops.split(ops.matmul(h, self.recurrent_kernel), [2 * self.units], axis=-1)
        r, z = ops.split(ops.sigmoid(x_gates + h_gates), 2, axis=-1)
        n = ops.tanh(x_candidate + r * (h_candidate + self.candidate_bias))
        return (z * h + (1 - z) * n,)
