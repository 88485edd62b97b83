"""Loops of the steps that are exported to serve: they end at the longest sequence of a batch, not at its arrays' end.

Compiled for one capacity [B, T], such a step serves every length, and takes no longer than its sequences need. What a
sequence gives is the same to the bit beside any others, in any row, and for any B: sums are taken in one order, since
every product has either one row for each sequence, two at least, or the same number of rows. No gradient comes back
from these loops: networks are trained with `training.cells.unroll`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
) -> tuple[Tensor, State, Tensor | None]:
    """Computes `unroll_projected(cell, table[rows], lengths, state)`; looks up each input product at its step.

    Args:
        table: input products, as `Cell.project_all` makes them, shape [W, D * G].
        scales: of a table of integers, as `training.cells.integers.round_rows` makes them, shape [W, D].
        passed: number of columns behind the product of each direction, so that the table is [W, D * (G + passed)]. The
            cell does not read them; they are returned for each position.
        rounded: whether outputs are returned as `training.cells.integers.rounded` rounds them.
        rows: of the table, int32, shape [B, T].
        lengths: valid positions of each row, from the left, int32, shape [B].
        state: what to start from, zeros by default.

    Returns:
        outputs: [B, T, D * H], zero at padding; the forward direction's first.
        state: after the last valid position; of the second direction, after the first.
        added: the columns that are passed, [B, T, D * passed], zero at padding; None if there are none.
    """
    directions = cell.directions
    batch, time = ops.shape(rows)
    products = ops.reshape(table, (-1, table.shape[-1] // directions))  # [W * D, G + passed]
    gates = products.shape[-1] - passed
    filled = ops.minimum(ops.arange(ops.maximum(batch, LEAST_ROWS)), batch - 1)  # a row alone is read twice
    steps = directions * ops.transpose(ops.take(rows, filled, axis=0))  # [T, B]
    of_direction = ops.reshape(ops.arange(directions), (-1, 1))
    ends = ops.reshape(ops.take(lengths, filled), (1, -1, 1))  # [1, B, 1]
    longest = ops.max(lengths)
    kind = products.dtype if scales is None else "float32"
    if state is None:
        shape = (directions, ops.shape(filled)[0])
        state = tuple(ops.zeros((*shape, size), kind) for size in cell.state_sizes)
    else:
        state = tuple(ops.take(part, filled, axis=1) for part in state)

    def step(t: Tensor, collected: list[Tensor], *state: Tensor) -> tuple[Any, ...]:
        at = ops.stack([t, longest - 1 - t][:directions])  # [D]
        places = ops.take(steps, at, axis=0) + of_direction  # [D, B]
        x = ops.take(products, places, axis=0)  # [D, B, G]
        if scales is not None:
            x = ops.cast(x, kind) * ops.expand_dims(ops.take(ops.reshape(scales, (-1,)), places), -1)
        valid = ops.reshape(at, (-1, 1, 1)) < ends  # [D, B, 1]
        after = cell.step(x[..., :gates], state)
        shown = ops.where(valid, after[0], 0.0)
        if rounded:
            shown = integers.rounded(shown, cell.output_limit or 1.0)
        parts = [shown, ops.where(valid, x[..., gates:], 0.0)] if passed else [shown]
        for direction in range(directions):
            for i, part in enumerate(parts):
                place = (0, at[direction], direction * part.shape[-1])
                here = ops.expand_dims(part[direction, : ops.shape(collected[i])[0]], 1)
                collected[i] = ops.slice_update(collected[i], place, here)
        return (t + 1, collected, *(ops.where(valid, new, old) for new, old in zip(after, state, strict=True)))

    collected = [ops.zeros((batch, time, directions * cell.state_sizes[0]), "int8" if rounded else kind)]
    if passed:
        collected.append(ops.zeros((batch, time, directions * passed), kind))
    start = (ops.zeros((), "int32"), collected, *state)
    _, collected, *state = ops.while_loop(lambda t, *_: t < longest, step, start)
    return collected[0], tuple(part[:, :batch] for part in state), collected[1] if passed else None


def per_position(
    compute: Callable[..., dict[str, Tensor]], inputs: Sequence[Tensor], lengths: Tensor
) -> dict[str, Tensor]:
    """Computes what depends on a position alone, for the valid positions of all sequences, one after the other.

    Args:
        compute: tiles of the inputs, each [N, I] -> arrays by name, each [N, ...].
        inputs: each [B, T, I].
        lengths: valid positions of each row, from the left, int32, shape [B].

    Returns:
        The arrays by name, each of shape [B * T, ...]; the first sum(lengths) rows are valid.
    """
    flat = [ops.reshape(x, (-1, x.shape[-1])) for x in inputs]
    ends = ops.cumsum(lengths)
    like = compute(*[x[:TILE] for x in flat])  # for its names and shapes alone
    places = ops.shape(flat[0])[0]
    empty = [ops.zeros((places, *values.shape[1:]), values.dtype) for values in like.values()]

    def step(first: Tensor, *outputs: Tensor) -> tuple[Tensor, ...]:
        batch, time, _ = ops.shape(inputs[0])  # XLA uses only shapes that are set inside the loop
        tile = ops.minimum(TILE, batch * time)
        start = ops.minimum(first, batch * time - tile)
        numbers = ops.minimum(start + ops.arange(tile), ends[-1] - 1)
        rows = ops.sum(ops.cast(ops.expand_dims(numbers, 1) >= ends, "int32"), axis=1)
        at = rows * time + numbers - ops.take(ends - lengths, rows)
        found = compute(*[ops.take(x, at, axis=0) for x in flat])
        updated = [
            ops.slice_update(output, (start, *[0] * (len(values.shape) - 1)), values)
            for output, values in zip(outputs, found.values(), strict=True)
        ]
        return (first + tile, *updated)

    _, *outputs = ops.while_loop(lambda first, *_: first < ends[-1], step, (ops.zeros((), "int32"), *empty))
    return dict(zip(like, outputs, strict=True))


def over_positions(
    compute: Callable[..., dict[str, Tensor]],
    inputs: Sequence[Tensor],
    lengths: Tensor,
    joins: Mapping[str, tuple[float, Callable[[Tensor, Tensor], Tensor]]],
) -> dict[str, Tensor]:
    """Reduces each sequence over its positions: sums or maxima of what its tiles give.

    Args:
        compute: tiles of the inputs, each [N, ...], and which positions count  # [N, 1] bool
            -> what the tile gives, by name  # each [O].
        inputs: each [B, T, ...].
        lengths: valid positions of each row, from the left  # [B] int32.
        joins: by name, the result without any position, and what makes one of two results.

    Returns:
        The results by name  # each [B, O].
    """
    like = compute(*[x[0, :TILE] for x in inputs], ops.ones((1, 1), "bool"))  # for its names and shapes alone

    def update(b: Tensor, places: Tensor, new: Tensor, tiles: Sequence[Tensor], results: list[Tensor]) -> list[Tensor]:
        found = compute(*tiles, ops.expand_dims(new, 1))
        return [
            ops.slice_update(result, (b, 0), join(result[b], found[name])[None])
            for (name, (_, join)), result in zip(joins.items(), results, strict=True)
        ]

    batch = ops.shape(inputs[0])[0]
    empty = [ops.full((batch, *like[name].shape), start, like[name].dtype) for name, (start, _) in joins.items()]
    return dict(zip(joins, _over_tiles(update, inputs, lengths, empty), strict=True))


def _over_tiles(
    update: Callable[[Tensor, Tensor, Tensor, Sequence[Tensor], list[Tensor]], list[Tensor]],
    inputs: Sequence[Tensor],
    lengths: Tensor,
    results: list[Tensor],
) -> list[Tensor]:
    """Updates results with each tile of the inputs, row by row, up to the end of each row.

    Args:
        update: a row, the positions of a tile, which of them are new and valid, both of shape [tile], the tile of each
            input, and the results so far -> the results after it.
        inputs: each [B, T, ...].
        lengths: valid positions of each row, from the left, int32, shape [B].
    """
    batch = ops.shape(inputs[0])[0]

    def step(b: Tensor, t: Tensor, *results: Tensor) -> tuple[Tensor, ...]:
        time = ops.shape(inputs[0])[1]  # XLA uses only shapes that are set inside the loop
        tile = ops.minimum(TILE, time)
        first = ops.minimum(t, time - tile)
        tiles = [ops.slice(x, (b, first, *[0] * len(x.shape[2:])), (1, tile, *x.shape[2:]))[0] for x in inputs]
        places = first + ops.arange(tile)
        updated = update(b, places, (places >= t) & (places < lengths[b]), tiles, list(results))
        goes_on = t + tile < lengths[b]
        return (ops.where(goes_on, b, b + 1), ops.where(goes_on, t + tile, 0), *updated)

    zero = ops.zeros((), "int32")
    _, _, *results = ops.while_loop(lambda b, *_: b < batch, step, (zero, zero, *results))
    return results


def narrow_product(x: Tensor, kernel: Tensor) -> Tensor:
    """Returns `x @ kernel` for a kernel of few columns, its sums in one order for any number of rows: [B, I] -> [B, O].

    The order in which a matrix product of XLA sums depends on the number of rows.
    """
    return ops.sum(ops.expand_dims(x, -1) * kernel, axis=-2)
