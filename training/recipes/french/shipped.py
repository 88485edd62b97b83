"""The model that is shipped for English."""

from training.config import above
from training.recipes.tagging import shipped

recipe = above(shipped.recipe, "french-shipped", corpus="sequoia", language="fr", teacher=None, taught_tokens=0)
