"""The characters of each word."""

from training.config import above
from training.recipes.tagging import variational

recipe = above(variational.recipe, "tagging-characters", sizes={"spelling": 48})
