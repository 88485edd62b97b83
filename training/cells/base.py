"""What a cell is to the loop that runs it, and what the cells with weights of their own share.

A cell's weights and states have a leading axis of directions, D = 1 or 2, so that the step of a bidirectional
layer is one batched product `[2, B, H] x [2, H, G]` and not two. What a step needs of the input alone, G
numbers for its gates, is `project`: computed for all steps at once, before the loop. `step` is what is left
inside it. A new cell states its `gates`, its `state_sizes`, its weights and its `step`.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import keras
from keras import ops

Tensor: TypeAlias = Any  # a tensor of whichever backend Keras runs on
State: TypeAlias = tuple[Tensor, ...]  # each [D, B, size] float32, sizes as Cell.state_sizes


class Cell(keras.layers.Layer):  # type: ignore[misc]
    """What a loop needs. The first state is the cell's output; a cell with several outputs has them as its states.

    Attributes:
        directions: D, 1 or 2.
    """

    directions: int

    def __init__(self) -> None:
        super().__init__()
        self.built = True  # weights are made at once, not at the first call: a loop calls `step`, not the layer

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Width of each state, H of the output first."""
        raise NotImplementedError

    def project(self, inputs: Tensor, direction: int) -> Tensor:
        """Returns what the steps of a direction need of the inputs: [..., I] -> [..., G]."""
        raise NotImplementedError

    def step(self, x: Tensor, state: State) -> State:
        """Returns the state after one step. x: projected input  # [D, B, G]."""
        raise NotImplementedError


class ReadingCell(Cell):
    """Base of the cells that have weights for their input: `kernel` W  # [D, I, G], and `bias` b  # [D, G].

    Args:
        input_size: I, width of the input.
        units: H, width of the output.
        directions: D, 1 or 2.
    """

    gates: ClassVar[int]  # G / units

    def __init__(self, input_size: int, units: int, directions: int = 1) -> None:
        super().__init__()
        self.units = units
        self.directions = directions
        self.kernel = self._weight("kernel", (input_size, self.gates * units), keras.initializers.GlorotUniform)
        self.bias = self._weight("bias", (self.gates * units,), keras.initializers.Zeros)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        return (self.units,)

    def project(self, inputs: Tensor, direction: int) -> Tensor:
        return ops.matmul(inputs, self.kernel[direction]) + self.bias[direction]

    def _weight(self, name: str, shape: tuple[int, ...], initializer: Callable[[], Any]) -> Any:
        """Adds a weight [D, *shape], each direction drawn by its own initializer: one repeats itself."""

        def initial(shape: tuple[int, ...], dtype: Any) -> Tensor:
            return ops.stack([initializer()(shape[1:], dtype) for _ in range(shape[0])])

        return self.add_weight(shape=(self.directions, *shape), initializer=initial, name=name)


class BasicCell(ReadingCell):
    """Base of the cells that multiply their output by a matrix at each step: `recurrent_kernel` U  # [D, H, G].

    Args:
        recurrent_size: rows of U, where the output that goes back in is not `units` wide.
    """

    def __init__(self, input_size: int, units: int, directions: int = 1, recurrent_size: int | None = None) -> None:
        super().__init__(input_size, units, directions)
        shape = (recurrent_size or units, self.gates * units)
        self.recurrent_kernel = self._weight("recurrent_kernel", shape, keras.initializers.Orthogonal)

    def step(self, x: Tensor, state: State, seen: Tensor | None = None) -> State:
        """Does what Cell.step does. seen: what the product with U sees of the output, all of it by default."""
        raise NotImplementedError
