"""Loops of the steps that are exported to serve: they end at the longest sequence of a batch, not at its arrays' end.

Compiled for one capacity [B, T], such a step serves every length, and takes no longer than its sequences need. What a
sequence gives is the same to the bit beside any others, in any row, and for any B: sums are taken in one order, since
every product has either one row for each sequence, two at least, or the same number of rows. No gradient comes back
from these loops: networks are trained with `training.cells.unroll`.

What stands before a loop is kept to a few operations, and to a few arrays to start from: where more than nine are ready
at once, XLA's executor hands half of them to another thread, and a small step waits longer for it than it computes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from training.cells import Cell, State, Tensor, integers

LEAST_ROWS = 2  # of a product: XLA sums a single row in another order, and integers of a single row in a slow loop
TILE = 16  # positions that are read at a time where a position depends on no other


def unroll_rows(
    cell: Cell,
    table: Tensor,
    rows: Tensor,
    lengths: Tensor,
    state: State | None = None,
    *,
    scales: Tensor | None = None,
    passed: int = 0,
    rounded: bool = False,
) -> tuple[Tensor, State]:
    """Computes `unroll_projected(cell, table[rows], lengths, state)`; looks up each input product at its step.

    Args:
        table: input products, as `Cell.project_all` makes them, shape [W, D * G].
        scales: of a table of integers, as `training.cells.integers.round_rows` makes them, shape [W, D].
        passed: number of columns behind the product of each direction, so that the table is [W, D * (G + passed)]. The
            cell does not read them.
        rounded: whether outputs are returned as `training.cells.integers.rounded` rounds them.
        rows: of the table, int32, shape [B, T].
        lengths: valid positions of each row, from the left, int32, shape [B].
        state: what to start from, zeros by default.

    Returns:
        outputs: [B, T, D * H], zero at padding; the forward direction's first.
        state: after the last valid position; of the second direction, after the first.
    """
    batch, time = ops.shape(rows)
    units = cell.state_sizes[0]
    kind = "int8" if rounded else table.dtype if scales is None else "float32"

    def collect(at: Tensor, valid: Tensor, outputs: Tensor, collected: Sequence[Tensor]) -> list[Tensor]:
        (values,) = collected
        shown = ops.where(valid, outputs, 0.0)
        if rounded:
            shown = integers.rounded(shown, cell.output_limit or 1.0)
        for direction in range(cell.directions):
            place = (0, at[direction], direction * units)
            values = ops.slice_update(values, place, ops.expand_dims(shown[direction, : ops.shape(values)[0]], 1))
        return [values]

    start = [ops.zeros((batch, time, cell.directions * units), kind)]
    (outputs,), state = _run(cell, table, rows, lengths, state, scales, passed, collect, start)
    return outputs, state


def pool_rows(
    cell: Cell,
    table: Tensor,
    rows: Tensor,
    lengths: Tensor,
    beside: Callable[[Tensor], Tensor],
    *,
    scales: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Reduces the outputs of `unroll_rows` over each sequence, and sums what stands beside them.

    Args:
        beside: a position -> of each sequence, what is summed as well, [B, K].

    For the other arguments see `unroll_rows`.

    Returns:
        The maximum and the sum of the outputs, each [B, D * H], and the other sum, [B, K].
    """
    batch = ops.shape(rows)[0]

    def reduce(at: Tensor, valid: Tensor, outputs: Tensor, pooled: Sequence[Tensor]) -> list[Tensor]:
        highest, total, others = pooled
        return [
            ops.where(valid, ops.maximum(highest, outputs), highest),
            ops.where(valid, total + outputs, total),
            others + ops.where(valid[0, :batch], beside(at[0]), 0.0),
        ]

    shape = (cell.directions, ops.maximum(batch, LEAST_ROWS), cell.state_sizes[0])
    start = [ops.full(shape, -np.inf), ops.zeros(shape), ops.zeros((batch, beside(0).shape[-1]))]
    (*pooled, others), _ = _run(cell, table, rows, lengths, None, scales, 0, reduce, start)
    highest, total = (ops.concatenate([part[d, :batch] for d in range(cell.directions)], axis=-1) for part in pooled)
    return highest, total, others


def _run(
    cell: Cell,
    table: Tensor,
    rows: Tensor,
    lengths: Tensor,
    state: State | None,
    scales: Tensor | None,
    passed: int,
    update: Callable[[Tensor, Tensor, Tensor, Sequence[Tensor]], list[Tensor]],
    found: list[Tensor],
) -> tuple[list[Tensor], State]:
    """Runs the steps over rows of a table, with at least LEAST_ROWS sequences; see `unroll_rows`.

    Args:
        update: the position that each direction reads, [D], whether it is valid, [D, B, 1], the outputs there,
            [D, B, H], and what was found -> what is found.
        found: before the first step.

    Returns:
        What is found after the last step, and the state, [D, B, size] each.
    """
    directions = cell.directions
    batch = ops.shape(rows)[0]
    products = ops.reshape(table, (-1, table.shape[-1] // directions))  # [W * D, G + passed]
    filled = _filled(batch)
    steps = by_position(rows, directions)
    of_direction = ops.reshape(ops.arange(directions), (-1, 1))
    ends = ops.reshape(ops.take(lengths, filled), (1, -1, 1))  # [1, B, 1]
    longest = ops.max(lengths)
    kind = products.dtype if scales is None else "float32"
    if state is None:
        shape = (directions, ops.shape(filled)[0])
        state = tuple(ops.zeros((*shape, size), kind) for size in cell.state_sizes)
    else:
        state = tuple(ops.take(part, filled, axis=1) for part in state)

    def step(t: Tensor, found: list[Tensor], *state: Tensor) -> tuple[Any, ...]:
        at = ops.stack([t, longest - (t + 1)][:directions])  # [D]
        places = ops.take(steps, at, axis=0) + of_direction  # [D, B]
        x = ops.take(products, places, axis=0)[..., : products.shape[-1] - passed]  # [D, B, G]
        if scales is not None:
            x = ops.cast(x, kind) * ops.expand_dims(ops.take(ops.reshape(scales, (-1,)), places), -1)
        valid = ops.reshape(at, (-1, 1, 1)) < ends  # [D, B, 1]
        after = cell.step(x, state)
        found = update(at, valid, after[0], found)
        return (t + 1, found, *(ops.where(valid, new, old) for new, old in zip(after, state, strict=True)))

    start = (ops.zeros((), "int32"), found, *state)
    _, found, *state = ops.while_loop(lambda t, *_: t < longest, step, start)
    return found, tuple(part[:, :batch] for part in state)


def by_position(rows: Tensor, directions: int) -> Tensor:
    """Returns the rows of a table of products, [W, D * G], as those of its directions, [W * D, G]: of the first.

    Args:
        rows: [B, T] int32.

    Returns:
        [T, B], B at least LEAST_ROWS.
    """
    return directions * ops.transpose(ops.take(rows, _filled(ops.shape(rows)[0]), axis=0))


def _filled(batch: Tensor) -> Tensor:
    """Returns which rows of a batch are read, LEAST_ROWS at least: a row alone is read twice."""
    return ops.minimum(ops.arange(ops.maximum(batch, LEAST_ROWS)), batch - 1)


def per_position(
    compute: Callable[[Tensor, Tensor], dict[str, Tensor]], rows: Tensor, lengths: Tensor
) -> dict[str, Tensor]:
    """Computes what depends on a position alone, for the valid positions of all sequences, one after the other.

    Args:
        compute: sequences and positions in them, both [N] int32 -> arrays of 32 bits and one shape by name, [N, ...].
        rows: [B, T]; of the batch, for its shape alone.
        lengths: valid positions of each row, from the left, int32, shape [B].

    Returns:
        The arrays by name, each of shape [B * T, ...]; the first sum(lengths) rows are valid.
    """
    starts, total = ops.cumsum(lengths) - lengths, ops.sum(lengths)
    zeros = ops.zeros((TILE,), "int32")
    like = compute(zeros, zeros)  # for its names, shapes and types alone
    rest = next(iter(like.values())).shape[1:]
    collected = ops.zeros((len(like), ops.prod(ops.shape(rows)), *rest), "int32")  # one array, so that one is started

    def step(first: Tensor, collected: Tensor) -> tuple[Tensor, Tensor]:
        batch, time = ops.shape(rows)  # XLA uses only shapes that are set inside the loop
        tile = ops.minimum(TILE, batch * time)
        start = ops.minimum(first, batch * time - tile)
        numbers = start + ops.arange(tile)
        numbers = ops.where(numbers < total, numbers, 0)
        sequences = ops.sum(ops.cast(ops.expand_dims(numbers, 1) >= starts, "int32"), axis=1) - 1
        found = compute(sequences, numbers - ops.take(starts, sequences))
        values = ops.stack([_view(values, "int32") for values in found.values()])
        return first + tile, ops.slice_update(collected, (0, start, *[0] * len(rest)), values)

    _, collected = ops.while_loop(lambda first, _: first < total, step, (ops.zeros((), "int32"), collected))
    return {name: _view(collected[i], values.dtype) for i, (name, values) in enumerate(like.items())}


def _view(values: Tensor, dtype: str) -> Tensor:
    """Returns the same bits as another type of 32 bits. Keras needs to know how long the last axis is."""
    return ops.squeeze(ops.view(ops.expand_dims(values, -1), dtype), -1)


def narrow_product(x: Tensor, kernel: Tensor) -> Tensor:
    """Returns `x @ kernel` for a kernel of few columns, its sums in one order for any number of rows: [B, I] -> [B, O].

    The order in which a matrix product of XLA sums depends on the number of rows.
    """
    return ops.sum(ops.expand_dims(x, -1) * kernel, axis=-2)
