"""Activations: functions of a simple RNN, a state that is added to, and an LSTM, as language models."""

from training.course.ladders import Ladder, Rung, cells
from training.tasks.recipe import derive

tanh = Rung(
    "tanh",
    "A simple RNN with tanh, for five epochs",
    derive(cells.simple.recipe, "activations-tanh", epochs=5, patience=0, schedule="constant"),
)
sigmoid = tanh.then("sigmoid", "The logistic function in the place of tanh", sizes={"cell": "simple-sigmoid"})
relu = tanh.then("relu", "ReLU", sizes={"cell": "simple-relu"})
silu = tanh.then("silu", "SiLU, also called swish", sizes={"cell": "simple-silu"})
additive = tanh.then("additive", "tanh, added to the state", sizes={"cell": "additive"})
lstm = tanh.then("lstm", "An LSTM", sizes={"cell": "lstm"})

LADDER = Ladder((tanh, sigmoid, relu, silu, additive, lstm), rates=(8e-3,))
