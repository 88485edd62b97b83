"""The model that is shipped."""

from training.recipes import lm_shakespeare
from training.tasks.base import derive

recipe = derive(lm_shakespeare.recipe, "language-shipped")
