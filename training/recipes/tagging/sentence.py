"""The whole sentence to the left, unrolled dynamically with its length."""

from training.recipes.tagging import window
from training.tasks.base import derive

recipe = derive(window.recipe, "tagging-sentence", sizes={"window": 0})
