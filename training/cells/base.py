"""The base classes of cells.

A cell's weights and states have a leading axis of directions, D = 1 or 2, so that the step of a bidirectional
layer is one batched product `[2, B, H] x [2, H, G]` and not two. The part of a step that depends on the input alone,
G numbers for its gates, is `project`, computed for all steps at once before the loop. `step` computes the rest. A new
cell defines its `gates`, its `state_sizes`, its weights and its `step`.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import keras
from keras import ops

from training.cells.integers import product, restore_weight, round_weight

Tensor: TypeAlias = Any  # a tensor of the backend that Keras runs on
State: TypeAlias = tuple[Tensor, ...]  # each [D, B, size] float32, sizes as Cell.state_sizes

MASKED_LOGIT = -1e9  # the logit of what is left out of a softmax: its probability is 0


class Cell(keras.layers.Layer):  # type: ignore[misc]
    """The interface of a cell to a loop. The first state is the output; several outputs stand side by side in it.

    Attributes:
        directions: D, 1 or 2.
        output_limit: the largest magnitude of an output; None where there is none.
    """

    directions: int
    output_limit: float | None = None

    def __init__(self) -> None:
        super().__init__()
        self.built = True  # weights are created in the constructor: a loop calls `step`, not the layer

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Width of each state, H of the output first."""
        raise NotImplementedError

    def project(self, inputs: Tensor, direction: int) -> Tensor:
        """Projects the inputs of one direction for its steps: [..., I] -> [..., G]."""
        raise NotImplementedError

    def project_all(self, inputs: Tensor) -> Tensor:
        """Projects inputs for the steps of all directions, side by side: [..., I] -> [..., D * G]."""
        return ops.concatenate([self.project(inputs, direction) for direction in range(self.directions)], axis=-1)

    def step(self, x: Tensor, state: State) -> State:
        """Returns the state after one step. x: projected input, shape [D, B, G]."""
        raise NotImplementedError

    def run(self, xs: Tensor, ends: Tensor, state: State) -> tuple[Tensor, State]:
        """Runs all steps; a step at padding keeps the state. A cell whose steps are linear may override it.

        Args:
            xs: projected inputs, in the order in which each direction reads them, shape [T, D, B, G].
            ends: valid positions of each row, int32, shape [1, B, 1].

        Returns:
            The outputs of all steps, shape [T, D, B, H], and the last state.
        """
        time = ops.shape(xs)[0]

        def step(carry: tuple[Tensor, State], x: Tensor) -> tuple[Any, Any]:
            done, state = carry
            position = ops.reshape(ops.stack([done, time - 1 - done][: self.directions]), (-1, 1, 1))  # [D, 1, 1]
            after = self.step(x, state)
            state = tuple(ops.where(position < ends, new, old) for new, old in zip(after, state, strict=True))
            return (done + 1, state), (done, state)

        # The loop counts its steps itself: on TensorFlow, ops.scan takes only one input whose length is not known.
        (_, state), (_, states) = ops.scan(step, (ops.zeros((), "int32"), state), xs)
        return states[0], state

    def round_weights(self, input_limit: float | None = None) -> list[str]:
        """Turns weights that are multiplied by what has a limit into integers, see `training.cells.integers`.

        Args:
            input_limit: the largest magnitude of an input; None where there is none.

        Returns:
            The recurrent weights that stay floats, since the states that they are multiplied by have no limit.
        """
        return []

    def restore_weights(self) -> None:
        """Turns integers into floats again."""
        return


class ReadingCell(Cell):
    """Base of cells with input weights: `kernel` W, shape [D, I, G], and `bias` b, shape [D, G].

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
        self.kernel_scale: Any = None  # of integers
        self._input_limit: float | None = None
        self.bias = self._weight("bias", (self.gates * units,), keras.initializers.Zeros)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        return (self.units,)

    def project(self, inputs: Tensor, direction: int) -> Tensor:
        scale = None if self.kernel_scale is None else self.kernel_scale[direction]
        return product(inputs, self.kernel[direction], scale, self._input_limit or 1.0) + self.bias[direction]

    def project_all(self, inputs: Tensor) -> Tensor:
        *places, size = ops.shape(inputs)
        flat = ops.reshape(inputs, (-1, size))
        # One product by [D, I, G]: for a product by the weights of each direction XLA copies them out first.
        read = ops.broadcast_to(flat, (self.directions, *ops.shape(flat)))
        projected = product(read, self.kernel, self.kernel_scale, self._input_limit or 1.0)  # [D, N, G]
        sides = [projected[direction] + self.bias[direction] for direction in range(self.directions)]
        width = self.directions * self.bias.shape[-1]  # which a trace of open shapes would not find
        return ops.reshape(ops.concatenate(sides, axis=-1), (*places, width))

    def _weight(self, name: str, shape: tuple[int, ...], initializer: Callable[[], Any]) -> Any:
        """Adds a weight of shape [D, *shape], with an initializer per direction: one would repeat its values."""

        def initial(shape: tuple[int, ...], dtype: Any) -> Tensor:
            return ops.stack([initializer()(shape[1:], dtype) for _ in range(shape[0])])

        return self.add_weight(shape=(self.directions, *shape), initializer=initial, name=name)


class BasicCell(ReadingCell):
    """Base of cells that multiply their output by a matrix at each step: `recurrent_kernel` U, shape [D, H, G].

    Args:
        recurrent_size: rows of U, if the recurrent output is not `units` wide.
    """

    def __init__(self, input_size: int, units: int, directions: int = 1, recurrent_size: int | None = None) -> None:
        super().__init__(input_size, units, directions)
        shape = (recurrent_size or units, self.gates * units)
        self.recurrent_kernel = self._weight("recurrent_kernel", shape, keras.initializers.Orthogonal)
        self.recurrent_kernel_scale: Any = None  # of integers

    def recur(self, h: Tensor) -> Tensor:
        """Returns the product of outputs with U: [D, B, H] -> [D, B, G]."""
        return product(h, self.recurrent_kernel, self.recurrent_kernel_scale, self.output_limit or 1.0)

    def round_weights(self, input_limit: float | None = None) -> list[str]:
        if input_limit is not None:
            self._input_limit = input_limit
            round_weight(self, "kernel")
        if self.output_limit is None:
            return [self.recurrent_kernel.path]
        round_weight(self, "recurrent_kernel")
        return []

    def restore_weights(self) -> None:
        for name in ("kernel", "recurrent_kernel"):
            if getattr(self, f"{name}_scale") is not None:
                restore_weight(self, name)

    def step(self, x: Tensor, state: State, seen: Tensor | None = None) -> State:
        """Computes a step. seen: replaces the output h in the product with U, for dropout."""
        raise NotImplementedError
