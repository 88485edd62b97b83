"""The last state of a simple RNN that reads the padding, too."""

from training.config import above
from training.recipes.sentiment import bag_of_words

recipe = above(bag_of_words.recipe, "sentiment-last-state", sizes={"cell": "simple", "reads_padding": True})
