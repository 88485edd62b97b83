"""A second layer."""

from training.recipes.sentiment import bidirectional
from training.tasks.base import derive

recipe = derive(bidirectional.recipe, "sentiment-stacked", sizes={"layers": 2})
