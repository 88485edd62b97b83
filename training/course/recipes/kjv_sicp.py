"""The same network on the King James Bible with Structure and Interpretation of Computer Programs."""

from training.recipes import lm_shakespeare
from training.tasks.recipe import derive

recipe = derive(
    lm_shakespeare.recipe,
    "kjv-sicp",
    description="Continues the King James Bible and a textbook of programming, character by character",
    corpus="kjv_sicp",
    epochs=2,
    shipped=False,
)
