"""Dropout of what each layer reads and gives."""

from training.config import above
from training.recipes.tagging import stacked

recipe = above(stacked.recipe, "tagging-dropout", sizes={"dropout": 0.3})
