"""Minimal gated units, which read all of a stretch at once."""

from training.config import above
from training.recipes.language import unitary

recipe = above(unitary.recipe, "language-minimal", sizes={"cell": "minimal"})
