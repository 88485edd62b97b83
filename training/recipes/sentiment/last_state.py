"""The last state of a simple RNN, begun as the identity, that reads the padding, too."""

from training.config import above
from training.recipes.sentiment import bag_of_words

recipe = above(bag_of_words.recipe, "sentiment-last-state", sizes={"cell": "identity", "reads_padding": True})
