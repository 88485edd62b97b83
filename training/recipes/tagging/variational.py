"""The same dropout at every word of a sentence, and of what a layer recalls."""

from training.config import above
from training.recipes.tagging import dropout

recipe = above(dropout.recipe, "tagging-variational", sizes={"variational": True})
