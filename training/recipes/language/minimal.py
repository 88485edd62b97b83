"""Minimal gated units, which read all of a stretch at once."""

from training.recipes.language import unitary
from training.tasks.base import derive

recipe = derive(unitary.recipe, "language-minimal", sizes={"cell": "minimal"})
