"""An LSTM in its place."""

from training.recipes.language import simple
from training.tasks.base import derive

recipe = derive(simple.recipe, "language-lstm", learning_rate=3e-3, sizes={"cell": "lstm"})
