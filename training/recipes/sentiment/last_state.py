"""The last state of a simple RNN, begun as the identity, that reads the padding, too."""

from training.recipes.sentiment import bag_of_words
from training.tasks.base import derive

recipe = derive(bag_of_words.recipe, "sentiment-last-state", sizes={"cell": "identity", "reads_padding": True})
