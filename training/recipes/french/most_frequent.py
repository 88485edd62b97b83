"""The most frequent tag of each word."""

from training.config import above
from training.recipes.tagging import most_frequent

recipe = above(most_frequent.recipe, "french-most-frequent", corpus="sequoia", language="fr")
