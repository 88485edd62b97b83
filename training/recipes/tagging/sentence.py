"""The whole sentence to the left, unrolled dynamically with its length."""

from training.config import above
from training.recipes.tagging import window

recipe = above(window.recipe, "tagging-sentence", sizes={"window": 0})
