"""Cells: the recurrences that a language model can have, on 100 000 characters of Tiny Shakespeare."""

from training.course.ladders import Ladder, Rung, language
from training.tasks.recipe import derive

simple = Rung(
    "simple", "A simple RNN", derive(language.simple.recipe, "cells-simple", limit=100_000, sizes={"units": 128})
)
identity = simple.then("identity", "ReLU, begun as the identity", sizes={"cell": "identity"})
unitary = simple.then("unitary", "A unitary recurrence: the norm of the state is kept", sizes={"cell": "unitary"})
minimal = simple.then("minimal", "Minimal gated units, run in parallel over time", sizes={"cell": "minimal"})
gru = simple.then("gru", "A GRU", sizes={"cell": "gru"})
lstm = simple.then("lstm", "An LSTM", sizes={"cell": "lstm"})
closed = lstm.then(
    "forget-bias-0", "The bias of the forget gate begins at 0, not at 1", sizes={"cell": "lstm-forget-0"}
)
peepholes = lstm.then("peepholes", "Gates that see the memory", sizes={"cell": "lstm-peepholes"})
projection = lstm.then("projection", "An output of half the memory's width", sizes={"cell": "lstm-projection"})
clipped = lstm.then("cell-clip", "A memory clipped to ±3", sizes={"cell": "lstm-cell-clip"})

RATES = (2e-3, 4e-3, 8e-3)
LADDER = Ladder((simple, identity, unitary, minimal, gru, lstm, closed, peepholes, projection, clipped), rates=RATES)
