"""A simple RNN over each word and the four to its left, unrolled statically."""

from training.config import above
from training.models.word_tagger import WordTaggerSizes
from training.recipes.tagging import most_frequent

recipe = above(
    most_frequent.recipe,
    "tagging-window",
    word_count=2,
    epochs=8,
    network=WordTaggerSizes(window=5),
)
