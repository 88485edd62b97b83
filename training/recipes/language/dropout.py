"""Dropout between the layers and above them."""

from training.recipes.language import stacked
from training.tasks.base import derive

recipe = derive(stacked.recipe, "language-dropout", sizes={"inner_dropout": 0.2, "output_dropout": 0.3})
