"""An LSTM in its place."""

from training.recipes.tagging import sentence
from training.tasks.base import derive

recipe = derive(sentence.recipe, "tagging-lstm", sizes={"cell": "lstm"})
