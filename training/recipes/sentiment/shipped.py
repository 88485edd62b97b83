"""The model that is shipped."""

from training.config import above
from training.recipes import sentiment_en

recipe = above(sentiment_en.recipe, "sentiment-shipped")
