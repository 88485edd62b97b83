"""Overfitting: a wide network on 500 sentences of French Sequoia, and what dropout does against it."""

from training.models.word_tagger import WordTaggerSizes
from training.recipes.ladders import Ladder, Rung
from training.tasks.tagging import TaggingRecipe

wide = Rung(
    "wide",
    "A layer of 128 units a direction, for 30 epochs",
    TaggingRecipe(
        name="overfitting-wide",
        description="A rung of the ladder of dropout",
        language="fr",
        licence="LGPL-LR",
        limits="Made to be compared with the rungs beside it.",
        corpus="sequoia",
        tokenizer="spacy-fr",
        word_dropout=0.0,
        limit=500,
        epochs=30,
        batch_tokens=400,
        learning_rate=2e-3,
        schedule="constant",
        shipped=False,
        sizes=WordTaggerSizes(cell="lstm", directions=2),
    ),
)
word_dropout = wide.then("word-dropout", "Rare words are unknown at times", word_dropout=1.0)
dropout = wide.then("dropout", "Dropout of half of what the layer reads and gives", sizes={"dropout": 0.5})
variational = dropout.then(
    "variational", "The same mask at every word, and one for what the layer recalls", sizes={"variational": True}
)
both = variational.then("both", "Rare words are unknown at times, too", word_dropout=1.0)

LADDER = Ladder((wide, word_dropout, dropout, variational, both))
