"""Words begin as the vectors that a pretrained transformer has for them, those of unlabelled text, too."""

from training.recipes.tagging import characters
from training.tasks.base import derive

recipe = derive(characters.recipe, "tagging-vectors", teacher="tagger-en")
