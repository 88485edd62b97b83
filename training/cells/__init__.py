"""Recurrent cells: one step each, for one direction or for two at once; and the loops that run them (`unroll`).

Written with keras.ops, for any backend of Keras. The course has further cells (`training.course.cells`).
"""

from collections.abc import Callable

from training.cells.base import MASKED_LOGIT, BasicCell, Cell, ReadingCell, State, Tensor
from training.cells.gru import GRU
from training.cells.lstm import LSTM
from training.cells.residual import Residual

# Their names in recipes; arguments: input_size, units, directions. `training.course.cells` adds its own.
KINDS: dict[str, Callable[..., ReadingCell]] = {"gru": GRU, "lstm": LSTM}

__all__ = ["GRU", "KINDS", "LSTM", "MASKED_LOGIT", "BasicCell", "Cell", "ReadingCell", "Residual", "State", "Tensor"]
