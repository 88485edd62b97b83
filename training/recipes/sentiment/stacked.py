"""A second layer."""

from training.config import above
from training.recipes.sentiment import bidirectional

recipe = above(bidirectional.recipe, "sentiment-stacked", sizes={"layers": 2})
