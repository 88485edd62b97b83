"""Characters read by an LSTM, on Tiny Shakespeare."""

from training.tasks.language_modelling import LanguageModelRecipe

recipe = LanguageModelRecipe(
    name="lm-shakespeare",
    description="Continues English text in the manner of Shakespeare's plays, character by character",
    language="en",
    licence="MIT",
    limits="Invents text in the manner of one writer: nothing it says is meant to be true or useful. It knows the "
    "characters of its corpus; others in a prompt are unknown to it, and it never generates them.",
    corpus="tinyshakespeare",
    epochs=6,
    batch_tokens=1024,
    chunk=32,
    learning_rate=5e-3,
    clip_norm=1.0,
    averaging=0.998,
)
