"""The model that is shipped."""

from training.config import above
from training.recipes import tagger_en

recipe = above(tagger_en.recipe, "tagging-shipped")
