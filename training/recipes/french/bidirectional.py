"""An LSTM in both directions."""

from training.recipes.tagging import bidirectional
from training.tasks.base import derive

recipe = derive(bidirectional.recipe, "french-bidirectional", corpus="sequoia", language="fr")
