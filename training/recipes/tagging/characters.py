"""The characters of each word."""

from training.recipes.tagging import variational
from training.tasks.base import derive

recipe = derive(variational.recipe, "tagging-characters", sizes={"spelling": 48})
