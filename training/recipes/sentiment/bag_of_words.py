"""The mean of the words, in any order."""

from training.models.text_classifier import TextClassifierSizes
from training.tasks.sentiment import SentimentRecipe

recipe = SentimentRecipe(
    name="sentiment-bag-of-words",
    description="A rung of the ladder of sentiment classifiers",
    language="en",
    licence="MIT",
    limits="Made to be compared with the rungs beside it.",
    corpus="sst",
    epochs=3,
    batch_tokens=384,
    learning_rate=1e-3,
    clip_norm=1.0,
    sizes=TextClassifierSizes(cell=""),
)
