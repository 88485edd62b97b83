"""The same network on film reviews, good or bad. It reads 400 tokens of each. Measured, not shipped."""

from training.recipes import sentiment_en
from training.tasks.recipe import derive

recipe = derive(
    sentiment_en.treebank_recipe,
    "imdb",
    corpus="imdb",
    longest=400,
    epochs=3,
    batch_tokens=6000,
    word_count=5,
    sizes={"pairs": 2**20, "weighed": True},
    shipped=False,
)
