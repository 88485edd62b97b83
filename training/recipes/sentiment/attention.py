"""All outputs, weighed by attention."""

from training.config import above
from training.recipes.sentiment import stacked

recipe = above(stacked.recipe, "sentiment-attention", sizes={"attention": True})
