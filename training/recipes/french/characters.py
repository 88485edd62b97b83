"""Two layers, variational dropout, the characters of each word."""

from training.recipes.tagging import characters
from training.tasks.base import derive

recipe = derive(characters.recipe, "french-characters", corpus="sequoia", language="fr")
