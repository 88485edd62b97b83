"""A second layer."""

from training.config import above
from training.recipes.language import lstm

recipe = above(lstm.recipe, "language-stacked", sizes={"layers": 2})
