"""The model that is shipped."""

from training.recipes import sentiment_en
from training.tasks.base import derive

recipe = derive(sentiment_en.recipe, "sentiment-shipped")
