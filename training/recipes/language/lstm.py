"""An LSTM in its place."""

from training.config import above
from training.recipes.language import simple

recipe = above(simple.recipe, "language-lstm", learning_rate=3e-3, sizes={"cell": "lstm"})
