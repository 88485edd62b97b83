"""The sentence to the right, too."""

from training.recipes.tagging import lstm
from training.tasks.base import derive

recipe = derive(lstm.recipe, "tagging-bidirectional", sizes={"directions": 2})
