"""The next character by the last two, counted."""

from training.models.counted import MarkovChainSizes
from training.tasks.language_modelling import LanguageModelRecipe

recipe = LanguageModelRecipe(
    name="language-markov-chain",
    description="A rung of the ladder of language models",
    language="en",
    licence="MIT",
    limits="Made to be compared with the rungs beside it.",
    corpus="tinyshakespeare",
    epochs=0,
    batch_tokens=1024,
    chunk=32,
    learning_rate=5e-3,
    clip_norm=1.0,
    sizes=MarkovChainSizes(order=2),
)
