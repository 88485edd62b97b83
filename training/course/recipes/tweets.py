"""The same network on tweets in three classes. Measured, not shipped: the tweets' terms do not let it."""

from training.recipes import sentiment_en
from training.tasks.recipe import derive

recipe = derive(
    sentiment_en.treebank_recipe,
    "tweets",
    corpus="tweets",
    epochs=4,
    distillation_tokens=0,
    word_count=2,
    balanced=True,
    shipped=False,
)
