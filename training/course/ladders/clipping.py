"""Clipping: a run that explodes, and the same run with its gradients clipped, on a part of Tiny Shakespeare."""

from training.course.ladders import Ladder, Rung, cells
from training.tasks.recipe import derive

HIGH = 1e9  # no gradient has this norm

free = Rung(
    "free",
    "A ReLU network over chunks of 128 characters, no clipping",
    derive(
        cells.identity.recipe, "clipping-free", epochs=6, patience=0, schedule="constant", chunk=128, clip_norm=HIGH
    ),
)
five = free.then("norm-5", "The global norm clipped to 5", clip_norm=5.0)
one = free.then("norm-1", "The global norm clipped to 1", clip_norm=1.0)
tenth = free.then("norm-0.1", "The global norm clipped to 0.1", clip_norm=0.1)

LADDER = Ladder((free, five, one, tenth), rates=(2e-3,))
