"""Recurrent cells: one step each, for one direction or for two at once. `training.unroll` runs them.

| cell | what it adds |
| --- | --- |
| SimpleRNN, IdentityRNN | the recurrence that a course begins with, and a start of its weights that remembers |
| GRU | two gates, one state |
| LSTM | three gates, two states; peepholes, projection, clipping |
| MinimalGRU | one gate that sees the input alone: runs in parallel over time |
| UnitaryRNN | a state that is turned and stays as long |
| Attention | looks back at what an encoder wrote down |
| Stacked, Residual, Dropout, LearnedState | put around cells: several as one, shortcuts, noise, where a text starts |

Written with keras.ops: any backend of Keras runs them.
"""

from training.cells.attention import Attending, Attention
from training.cells.base import BasicCell, Cell, ReadingCell, State, Tensor
from training.cells.gru import GRU
from training.cells.lstm import LSTM
from training.cells.minimal import MinimalGRU
from training.cells.simple import IdentityRNN, SimpleRNN
from training.cells.unitary import UnitaryRNN
from training.cells.wrappers import Dropout, LearnedState, Residual, Stacked

# What a recipe calls them.
KINDS: dict[str, type[ReadingCell]] = {
    "simple": SimpleRNN,
    "identity": IdentityRNN,
    "gru": GRU,
    "lstm": LSTM,
    "minimal": MinimalGRU,
    "unitary": UnitaryRNN,
}

__all__ = [
    "GRU",
    "KINDS",
    "LSTM",
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
