"""A GRU in the place of the simple RNN."""

from training.config import above
from training.recipes.tagging import sentence

recipe = above(sentence.recipe, "tagging-gru", sizes={"cell": "gru"})
