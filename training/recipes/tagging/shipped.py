"""The model that is shipped."""

from training.recipes import tagger_en
from training.tasks.base import derive

recipe = derive(tagger_en.recipe, "tagging-shipped")
