"""Recurrent cells: one step each, for one direction or for two at once; and the loops that run them (`unroll`).

| cell | what it adds |
| --- | --- |
| SimpleRNN, IdentityRNN | the basic recurrence, with random or identity initial weights |
| GRU | two gates, one state |
| LSTM | three gates, two states; peepholes, projection, clipping |
| MinimalGRU | one gate of the input alone: runs in parallel over time |
| UnitaryRNN | a unitary recurrent matrix: the norm of the state is kept |
| Attention | attention over the outputs of an encoder |
| Stacked, Residual, Dropout, LearnedState | wrappers: several as one, residual, dropout, trained initial state |

Written with keras.ops, for any backend of Keras.
"""

from collections.abc import Callable
from functools import partial

from training.cells.attention import Attending, Attention
from training.cells.base import MASKED_LOGIT, BasicCell, Cell, ReadingCell, State, Tensor
from training.cells.gru import GRU
from training.cells.lstm import LSTM
from training.cells.minimal import MinimalGRU
from training.cells.simple import IdentityRNN, SimpleRNN
from training.cells.unitary import UnitaryRNN
from training.cells.wrappers import Dropout, LearnedState, Residual, Stacked


def _projected(input_size: int, units: int, directions: int = 1) -> LSTM:
    return LSTM(input_size, units, directions, projection=units // 2)


# Their names in recipes. Arguments: input_size, units, directions.
KINDS: dict[str, Callable[..., ReadingCell]] = {
    "simple": SimpleRNN,
    "identity": IdentityRNN,
    "gru": GRU,
    "lstm": LSTM,
    "lstm-forget-0": partial(LSTM, forget_bias=0.0),
    "lstm-peepholes": partial(LSTM, peepholes=True),
    "lstm-projection": _projected,
    "lstm-cell-clip": partial(LSTM, cell_clip=3.0),
    "minimal": MinimalGRU,
    "unitary": UnitaryRNN,
}

__all__ = [
    "GRU",
    "KINDS",
    "LSTM",
    "MASKED_LOGIT",
    "Attending",
    "Attention",
    "BasicCell",
    "Cell",
    "Dropout",
    "IdentityRNN",
    "LearnedState",
    "MinimalGRU",
    "ReadingCell",
    "Residual",
    "SimpleRNN",
    "Stacked",
    "State",
    "Tensor",
    "UnitaryRNN",
]
