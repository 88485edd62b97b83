"""Overfitting: a wide network on 500 sentences of French Sequoia, and what dropout does against it."""

from training.course.ladders import Ladder, Rung, tagging
from training.tasks.recipe import derive

wide = Rung(
    "wide",
    "A layer of 128 units a direction, for 30 epochs",
    derive(
        tagging.bidirectional.recipe,
        "overfitting-wide",
        language="fr",
        licence="LGPL-LR",
        corpus="sequoia",
        tokenizer="spacy-fr",
        word_dropout=0.0,
        limit=500,
        batch_tokens=400,
        schedule="constant",
        patience=0,
    ),
)
word_dropout = wide.then("word-dropout", "Rare words are unknown at times", word_dropout=1.0)
dropout = wide.then("dropout", "Dropout of half of the layer's inputs and outputs", sizes={"dropout": 0.5})
variational = dropout.then(
    "variational", "The same mask at every word, and one for the recurrent state", sizes={"variational": True}
)
both = variational.then("both", "Rare words are unknown at times, too", word_dropout=1.0)

LADDER = Ladder((wide, word_dropout, dropout, variational, both))
