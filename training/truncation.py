"""Truncated back-propagation through time, both ways: how far back the error of a position is felt.

A long text is read in windows, each from a state that the one before it left, and no gradient goes past the beginning
of a window. With windows of n positions that follow one another, an error travels back over 1 to n positions, by where
it stands in its window: half of them go less than n / 2. With windows that overlap, of which only the last `stride`
positions are learnt from, each travels over at least n - stride + 1: with a stride of 1, over n, the same for all, at n
times the cost. Williams and Peng (1990) call this BPTT(n; stride).
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from keras import ops, tree

from training.cells import Tensor

State: TypeAlias = Any  # a tensor, or nested tuples of them
Read: TypeAlias = Callable[[Tensor, State], tuple[Tensor, State]]  # [B, T, ...], state -> outputs [B, T, ...], state


def read_window(read: Read, window: Tensor, state: State, stride: int) -> tuple[Tensor, State]:
    """Reads one window of a text.

    Args:
        read: runs the network over a part of the text, on from a state.
        window: n positions, the first n - stride of which the window before has, too  # [B, n, ...].
        state: at the beginning of the window.
        stride: positions from one window to the next; n where windows do not overlap.

    Returns:
        outputs: of the last `stride` positions  # [B, stride, ...].
        state: `stride` positions on, where the next window begins, without a gradient.
    """
    outputs, after = read(window[:, :stride], state)
    if window.shape[1] > stride:
        further, _ = read(window[:, stride:], after)
        outputs = ops.concatenate([outputs, further], axis=1)
    return outputs[:, -stride:], tree.map_structure(ops.stop_gradient, after)
