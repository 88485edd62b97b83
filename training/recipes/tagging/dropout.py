"""Dropout of what each layer reads and gives."""

from training.recipes.tagging import stacked
from training.tasks.base import derive

recipe = derive(stacked.recipe, "tagging-dropout", sizes={"dropout": 0.3})
