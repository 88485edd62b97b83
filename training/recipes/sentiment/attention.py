"""All outputs, weighed by attention."""

from training.recipes.sentiment import stacked
from training.tasks.base import derive

recipe = derive(stacked.recipe, "sentiment-attention", sizes={"attention": True})
