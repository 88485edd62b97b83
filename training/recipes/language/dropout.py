"""Dropout between the layers and above them."""

from training.config import above
from training.recipes.language import stacked

recipe = above(stacked.recipe, "language-dropout", sizes={"inner_dropout": 0.2, "output_dropout": 0.3})
