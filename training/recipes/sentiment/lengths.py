"""The state after the last word."""

from training.recipes.sentiment import last_state
from training.tasks.base import derive

recipe = derive(last_state.recipe, "sentiment-lengths", sizes={"reads_padding": False})
