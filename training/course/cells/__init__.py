"""The cells that the course compares with GRU and LSTM, and wrappers around cells. Importing it names them in KINDS.

| cell | what it adds |
| --- | --- |
| SimpleRNN, IdentityRNN | the basic recurrence, with random or identity initial weights |
| AdditiveRNN | the basic recurrence, added to the state |
| ExtendedLSTM | an LSTM with peepholes, a projection, or a clipped memory |
| MinimalGRU | one gate of the input alone: runs in parallel over time |
| UnitaryRNN | a unitary recurrent matrix: the norm of the state is kept |
| Attention | attention over the outputs of an encoder |
| Dropout, LearnedState | wrappers: dropout, a trained initial state |
"""

from functools import partial

from keras import ops

from training.cells import KINDS, LSTM
from training.course.cells.attention import Attending, Attention
from training.course.cells.extended_lstm import ExtendedLSTM
from training.course.cells.minimal import MinimalGRU
from training.course.cells.simple import AdditiveRNN, IdentityRNN, SimpleRNN
from training.course.cells.unitary import UnitaryRNN
from training.course.cells.wrappers import Dropout, LearnedState


def _projected(input_size: int, units: int, directions: int = 1) -> ExtendedLSTM:
    return ExtendedLSTM(input_size, units, directions, projection=units // 2)


KINDS |= {
    "simple": SimpleRNN,
    "simple-sigmoid": partial(SimpleRNN, activation=ops.sigmoid),
    "simple-relu": partial(SimpleRNN, activation=ops.relu),
    "simple-silu": partial(SimpleRNN, activation=ops.silu),
    "identity": IdentityRNN,
    "additive": AdditiveRNN,
    "lstm-forget-0": partial(LSTM, forget_bias=0.0),
    "lstm-peepholes": partial(ExtendedLSTM, peepholes=True),
    "lstm-projection": _projected,
    "lstm-cell-clip": partial(ExtendedLSTM, cell_clip=3.0),
    "minimal": MinimalGRU,
    "unitary": UnitaryRNN,
}

__all__ = [
    "AdditiveRNN",
    "Attending",
    "Attention",
    "Dropout",
    "ExtendedLSTM",
    "IdentityRNN",
    "LearnedState",
    "MinimalGRU",
    "SimpleRNN",
    "UnitaryRNN",
]
