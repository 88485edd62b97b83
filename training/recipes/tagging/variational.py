"""The same dropout at every word of a sentence, and of what a layer recalls."""

from training.recipes.tagging import dropout
from training.tasks.base import derive

recipe = derive(dropout.recipe, "tagging-variational", sizes={"variational": True})
