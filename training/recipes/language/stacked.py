"""A second layer."""

from training.recipes.language import lstm
from training.tasks.base import derive

recipe = derive(lstm.recipe, "language-stacked", sizes={"layers": 2})
