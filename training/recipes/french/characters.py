"""Two layers, variational dropout, the characters of each word."""

from training.config import above
from training.recipes.tagging import characters

recipe = above(characters.recipe, "french-characters", corpus="sequoia", language="fr")
