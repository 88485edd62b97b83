"""A second layer."""

from training.config import above
from training.recipes.tagging import bidirectional

recipe = above(bidirectional.recipe, "tagging-stacked", sizes={"layers": 2})
