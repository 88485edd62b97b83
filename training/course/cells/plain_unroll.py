"""Unrolls of fixed length, for the first chapters of the course.

Models use `training.cells.unroll`, which takes lengths. Here every row is as long as the batch: T steps are
taken, over padding too. All give what `unroll` gives for full rows.
"""

from typing import Any

from keras import ops

from training.cells import Cell, State, Tensor


def unroll_static(cell: Cell, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
    """Unrolls every step into the graph, which is T times as large, for a T that is known beforehand.

    Args:
        inputs: [B, T, I] float32.
        state: what to start from, zeros by default.

    Returns:
        outputs: [B, T, D * H] float32, the forward direction's first.
        state: after the last step of each direction.
    """
    state = _zeros(cell, inputs) if state is None else state
    outputs = []
    for x in ops.unstack(_projected(cell, inputs), inputs.shape[1]):  # x: [D, B, G]
        state = cell.step(x, state)
        outputs.append(state[0])
    return _joined(ops.stack(outputs)), state


def unroll_scan(cell: Cell, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
    """Unrolls by a loop over one step, for a T that is known when it runs. Arguments as of unroll_static."""

    def step(state: State, x: Tensor) -> tuple[Any, Any]:
        state = cell.step(x, state)
        return state, state  # TensorFlow's scan gives out of each step what it carries on, no less

    state = _zeros(cell, inputs) if state is None else state
    state, states = ops.scan(step, state, _projected(cell, inputs))
    return _joined(states[0]), state


def windows(inputs: Tensor, width: int) -> Tensor:
    """Returns for each position what is there and in the `width - 1` places to its left, zeros before the first.

    Args:
        inputs: [B, T, I] float32.

    Returns:
        [B * T, width, I] float32.
    """
    batch, time, size = ops.shape(inputs)
    padded = ops.pad(inputs, ((0, 0), (width - 1, 0), (0, 0)))
    shifted = [padded[:, i : i + time] for i in range(width)]
    return ops.reshape(ops.stack(shifted, axis=2), (batch * time, width, size))


def _projected(cell: Cell, inputs: Tensor) -> Tensor:
    """Returns the projected inputs, each direction's in the order in which it reads, shape [T, D, B, G]."""
    steps = ops.transpose(inputs, (1, 0, 2))  # [T, B, I]
    orders = (steps, ops.flip(steps, axis=0))[: cell.directions]
    return ops.stack([cell.project(x, direction) for direction, x in enumerate(orders)], axis=1)


def _joined(outputs: Tensor) -> Tensor:
    """Returns outputs in the order of the text: [T, D, B, H] -> [B, T, D * H]."""
    orders = [outputs[:, 0], *(ops.flip(outputs[:, d], axis=0) for d in range(1, outputs.shape[1]))]
    return ops.transpose(ops.concatenate(orders, axis=-1), (1, 0, 2))


def _zeros(cell: Cell, inputs: Tensor) -> State:
    return tuple(ops.zeros((cell.directions, ops.shape(inputs)[0], size), inputs.dtype) for size in cell.state_sizes)
