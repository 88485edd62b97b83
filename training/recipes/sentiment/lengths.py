"""The state after the last word."""

from training.config import above
from training.recipes.sentiment import last_state

recipe = above(last_state.recipe, "sentiment-lengths", sizes={"reads_padding": False})
