"""An LSTM in both directions."""

from training.config import above
from training.recipes.tagging import bidirectional

recipe = above(bidirectional.recipe, "french-bidirectional", corpus="sequoia", language="fr")
