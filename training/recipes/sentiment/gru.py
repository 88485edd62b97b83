"""A GRU in the place of the simple RNN."""

from training.config import above
from training.recipes.sentiment import lengths

recipe = above(lengths.recipe, "sentiment-gru", sizes={"cell": "gru"})
