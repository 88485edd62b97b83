"""The text from its end, too."""

from training.config import above
from training.recipes.sentiment import gru

recipe = above(gru.recipe, "sentiment-bidirectional", sizes={"directions": 2})
