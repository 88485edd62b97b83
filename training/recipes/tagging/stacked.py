"""A second layer."""

from training.recipes.tagging import bidirectional
from training.tasks.base import derive

recipe = derive(bidirectional.recipe, "tagging-stacked", sizes={"layers": 2})
