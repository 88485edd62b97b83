"""The model that is shipped."""

from training.config import above
from training.recipes import lm_shakespeare

recipe = above(lm_shakespeare.recipe, "language-shipped")
