"""Schedules: how the learning rate falls, for a tagger that learns from 4000 sentences of the English Web Treebank."""

from training.course.ladders import Ladder, Rung, tagging
from training.tasks.recipe import derive

constant = Rung(
    "constant",
    "The same rate for 12 epochs",
    derive(tagging.bidirectional.recipe, "schedules-constant", epochs=12, limit=4000, patience=0, schedule="constant"),
)
exponential = constant.then("exponential", "Falls exponentially to a hundredth", schedule="exponential")
staircase = constant.then("staircase", "Halves after each fifth of the run", schedule="staircase")
plateau = constant.then("plateau", "Halves after two epochs without improvement", schedule="plateau")
cosine = constant.then("cosine", "Falls to zero along half a cosine wave", schedule="cosine")
stopped = constant.then("early-stopping", "Stops after two epochs without improvement", patience=2)

LADDER = Ladder((constant, exponential, staircase, plateau, cosine, stopped))
