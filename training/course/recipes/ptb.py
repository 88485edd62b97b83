"""Words of the Penn Treebank. Measured, not shipped: its text is not free."""

from training.models.language_model import LanguageModelSizes
from training.recipes import lm_shakespeare
from training.tasks.recipe import derive

recipe = derive(
    lm_shakespeare.recipe,
    "ptb",
    description="Continues English news, word by word",
    corpus="ptb",
    unit="word",
    epochs=6,
    batch_tokens=640,
    learning_rate=3e-3,
    network=LanguageModelSizes(embedding=200, units=256),
    shipped=False,
)
