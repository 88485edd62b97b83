"""The sentence to the right, too."""

from training.config import above
from training.recipes.tagging import lstm

recipe = above(lstm.recipe, "tagging-bidirectional", sizes={"directions": 2})
