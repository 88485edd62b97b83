"""The text from its end, too."""

from training.recipes.sentiment import gru
from training.tasks.base import derive

recipe = derive(gru.recipe, "sentiment-bidirectional", sizes={"directions": 2})
