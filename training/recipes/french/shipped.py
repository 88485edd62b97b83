"""The model that is shipped for English."""

from training.recipes.tagging import shipped
from training.tasks.base import derive

recipe = derive(shipped.recipe, "french-shipped", corpus="sequoia", language="fr", teacher=None, distillation_tokens=0)
