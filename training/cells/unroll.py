"""Runs a cell over time: right-padded sequences of any length, in one direction or in both within one loop.

The second direction reads the sequence from its end, padding first; a step over padding keeps the state, so reading
starts from the initial state at the last valid position. The outputs of a row do not depend on its padding, and a row
of length 0 gives zeros and its initial state.
"""

from keras import ops

from training.cells import Cell, State, Tensor


def unroll(cell: Cell, inputs: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
    """Runs `cell` over `inputs`.

    Args:
        inputs: [B, T, I] float32.
        lengths: valid positions of each row, from the left, int32, shape [B].
        state: what to start from, zeros by default.

    Returns:
        outputs: [B, T, D * H] float32, zero at padding; the forward direction's first.
        state: after the last valid position; of the second direction, after the first.
    """
    steps = ops.transpose(inputs, (1, 0, 2))  # [T, B, I]
    projected = [cell.project(steps, direction) for direction in range(cell.directions)]
    return _run(cell, projected, lengths, state)


def unroll_embedded(
    cell: Cell, table: Tensor, ids: Tensor, lengths: Tensor, state: State | None = None
) -> tuple[Tensor, State]:
    """Computes `unroll(cell, table[ids], lengths, state)` for a small table.

    The input product is computed once per row of the table, not once per position.

    Args:
        table: embeddings, float32, shape [V, I].
        ids: int32, shape [B, T].
    """
    steps = ops.transpose(ids)  # [T, B]
    tables = [cell.project(table, direction) for direction in range(cell.directions)]  # each [V, G]
    return _run(cell, [ops.take(rows, steps, axis=0) for rows in tables], lengths, state)


def unroll_projected(
    cell: Cell, projected: Tensor, lengths: Tensor, state: State | None = None
) -> tuple[Tensor, State]:
    """Runs `cell` over inputs that `Cell.project_all` has projected, shape [B, T, D * G].

    The products of inputs that recur, such as words, can be cached.
    """
    steps = ops.transpose(projected, (1, 0, 2))  # [T, B, D * G]
    return _run(cell, ops.split(steps, cell.directions, axis=-1), lengths, state)


def _run(cell: Cell, projected: list[Tensor], lengths: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Runs the loop. projected: for each direction, in the order of the text, shape [T, B, G]."""
    time, batch = ops.shape(projected[0])[:2]
    xs = ops.stack(_in_reading_order(projected), axis=1)  # [T, D, B, G]
    ends = ops.reshape(lengths, (1, -1, 1))  # [1, B, 1]
    kind = projected[0].dtype
    if state is None:
        state = tuple(ops.zeros((cell.directions, batch, size), kind) for size in cell.state_sizes)
    state = tuple(ops.cast(part, kind) for part in state)

    states, state = cell.run(xs, ends, state)
    outputs = _in_reading_order([states[:, direction] for direction in range(cell.directions)])
    valid = ops.reshape(ops.arange(time, dtype="int32"), (-1, 1, 1)) < ends  # [T, B, 1]
    joined = ops.where(valid, ops.concatenate(outputs, axis=-1), 0.0)  # [T, B, D * H]
    return ops.transpose(joined, (1, 0, 2)), state


def _in_reading_order(per_direction: list[Tensor]) -> list[Tensor]:
    """Reverses the time axis of the second direction; doing so twice restores it."""
    return [ops.flip(x, axis=0) if direction else x for direction, x in enumerate(per_direction)]
