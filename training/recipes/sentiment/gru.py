"""A GRU in the place of the simple RNN."""

from training.recipes.sentiment import lengths
from training.tasks.base import derive

recipe = derive(lengths.recipe, "sentiment-gru", sizes={"cell": "gru"})
