"""A unitary recurrence, which turns its state and lets no error vanish."""

from training.recipes.language import simple
from training.tasks.base import derive

recipe = derive(simple.recipe, "language-unitary", sizes={"cell": "unitary"})
