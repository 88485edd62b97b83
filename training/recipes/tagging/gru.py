"""A GRU in the place of the simple RNN."""

from training.recipes.tagging import sentence
from training.tasks.base import derive

recipe = derive(sentence.recipe, "tagging-gru", sizes={"cell": "gru"})
