"""The most frequent tag of each word."""

from training.recipes.tagging import most_frequent
from training.tasks.base import derive

recipe = derive(most_frequent.recipe, "french-most-frequent", corpus="sequoia", language="fr")
