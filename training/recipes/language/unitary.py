"""A unitary recurrence, which turns its state and lets no error vanish."""

from training.config import above
from training.recipes.language import simple

recipe = above(simple.recipe, "language-unitary", sizes={"cell": "unitary"})
