"""Words begin as the vectors that a pretrained transformer has for them, those of unlabelled text, too."""

from training.config import above
from training.recipes.tagging import characters

recipe = above(characters.recipe, "tagging-vectors", teacher="tagger-en")
