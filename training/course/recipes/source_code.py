"""The same network on source code: three million characters of the running interpreter's own library."""

from training.recipes import lm_shakespeare
from training.tasks.recipe import derive

recipe = derive(
    lm_shakespeare.recipe,
    "source-code",
    description="Continues Python source code, character by character",
    corpus="interpreter",
    limit=3_000_000,
    epochs=2,
    shipped=False,
)
