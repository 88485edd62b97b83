"""Truncated back-propagation through time, with windows that follow one another or overlap.

A long text is read in windows, each from a state that the one before it left, and no gradient goes past the beginning
of a window. With windows of n positions that follow one another, a gradient goes back over 1 to n positions, by the
place of its loss in the window: half of them over less than n / 2. With windows that overlap, and a loss only
at new positions, each goes back over more than `overlap`; where one position is new, over n, for all alike, at n times
the cost. Williams and Peng (1990) call this BPTT(n; n - overlap).
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from keras import ops, tree

from training.cells import Tensor

State: TypeAlias = Any  # a tensor, or nested tuples of them
Read: TypeAlias = Callable[[Tensor, State], tuple[Tensor, State]]  # [B, T, ...], state -> outputs [B, T, ...], state


def read_window(read: Read, window: Tensor, state: State, overlap: int) -> tuple[Tensor, State]:
    """Reads one window of a text.

    Args:
        read: runs the network over a part of the text, on from a state.
        window: n positions, the first `overlap` of which the window before has, too, shape [B, n, ...].
        state: at the beginning of the window.

    Returns:
        outputs: of the new positions, shape [B, n - overlap, ...].
        state: where the next window begins, n - overlap positions further, without gradient.
    """
    if overlap == 0:
        outputs, after = read(window, state)
    else:
        head, after = read(window[:, :-overlap], state)
        tail, _ = read(window[:, -overlap:], after)
        outputs = ops.concatenate([head, tail], axis=1)[:, overlap:]
    return outputs, tree.map_structure(ops.stop_gradient, after)
