"""Sentiment, from a bag of words to the model that is shipped, on 2500 sentences of the Stanford Sentiment Treebank."""

from training.course.ladders import Ladder, Rung
from training.course.models.text_classifier import TextClassifierSizes
from training.recipes import sentiment_en
from training.tasks.sentiment import SentimentRecipe

bag = Rung(
    "bag-of-words",
    "The mean of the words, in any order",
    SentimentRecipe(
        name="sentiment-bag-of-words",
        description="A rung of the ladder of sentiment classifiers",
        language="en",
        licence="MIT",
        limits="Made to be compared with the rungs beside it.",
        corpus="sst",
        epochs=20,
        batch_tokens=768,
        learning_rate=1e-3,
        schedule="plateau",
        patience=3,
        clip_norm=1.0,
        limit=2500,
        shipped=False,
        sizes=TextClassifierSizes(cell=""),
    ),
)
last_state = bag.then(
    "last-state", "The state of a simple RNN, begun as the identity, after the last word", sizes={"cell": "identity"}
)
padding = last_state.then(
    "padding", "The state after the padding, as if all texts were as long", sizes={"reads_padding": True}
)
gru = last_state.then("gru", "A GRU in the place of the simple RNN", sizes={"cell": "gru"})
bidirectional = gru.then("bidirectional", "The text from its end, too", sizes={"directions": 2})
stacked = bidirectional.then("stacked", "A second layer", sizes={"layers": 2})
attention = bidirectional.then("attention", "All outputs, weighed by attention", sizes={"attention": True})
shipped = attention.shipped(sentiment_en.treebank_recipe)

LADDER = Ladder((bag, last_state, padding, gru, bidirectional, stacked, attention, shipped), seeds=5)
