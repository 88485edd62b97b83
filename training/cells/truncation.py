"""Truncated back-propagation through time, with windows that follow one another or overlap.

A long text is read in windows, each from a state that the one before it left, and no gradient goes past the beginning
of a window. With windows of n positions that follow one another, an error travels back over 1 to n positions, by where
it stands in its window: half of them go less than n / 2. With windows that overlap and are learnt from only where they
are new, each travels over more than `overlap`; where only one position is new, over n, the same for all, at n times the
cost. Williams and Peng (1990) call this BPTT(n; n - overlap).
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
