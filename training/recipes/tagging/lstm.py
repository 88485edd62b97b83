"""An LSTM in its place."""

from training.config import above
from training.recipes.tagging import sentence

recipe = above(sentence.recipe, "tagging-lstm", sizes={"cell": "lstm"})
