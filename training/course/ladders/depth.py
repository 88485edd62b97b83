"""Depth: layers above layers, on 100 000 characters of Tiny Shakespeare."""

from training.course.ladders import Ladder, Rung, cells
from training.tasks.recipe import derive

one = Rung("one", "One LSTM layer", derive(cells.lstm.recipe, "depth-one"))
two = one.then("two", "A second layer", sizes={"layers": 2})
four = one.then("four", "Three more layers", sizes={"layers": 4})
residual = four.then("residual", "Each layer adds its input to its output", sizes={"residual": True})

LADDER = Ladder((one, two, four, residual), rates=cells.RATES)
