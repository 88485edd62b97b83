"""The same network on the King James Bible with Structure and Interpretation of Computer Programs."""

from training.config import above
from training.recipes import lm_shakespeare

recipe = above(lm_shakespeare.recipe, "kjv-sicp", corpus="kjv_sicp", epochs=2, shipped=False)
