"""A simple RNN over each word and the four to its left, unrolled statically."""

from training.models.word_tagger import WordTaggerSizes
from training.recipes.tagging import most_frequent
from training.tasks.base import derive

recipe = derive(
    most_frequent.recipe,
    "tagging-window",
    word_count=2,
    epochs=8,
    network=WordTaggerSizes(window=5),
)
