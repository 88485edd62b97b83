"""A simple RNN."""

from training.models.language_model import LanguageModelSizes
from training.recipes.language import markov_chain
from training.tasks.base import derive

recipe = derive(
    markov_chain.recipe,
    "language-simple",
    epochs=4,
    learning_rate=2e-3,
    network=LanguageModelSizes(cell="simple", units=256, inner_dropout=0.0, output_dropout=0.0),
)
