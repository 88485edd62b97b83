"""Truncation: how far an error travels back through a text, on 100 000 characters of Tiny Shakespeare."""

from training.course.ladders import Ladder, Rung, cells
from training.tasks.recipe import derive

# A step learns from 1024 characters, whatever the chunk: 32 rows of 32, 128 rows of 8.
chunk32 = Rung(
    "chunk-32", "Chunks of 32 characters, the state carried on", derive(cells.lstm.recipe, "truncation-chunk-32")
)
cut = chunk32.then("cut", "Each chunk begins with an empty state", carries=False)
chunk8 = chunk32.then("chunk-8", "Chunks of 8 characters", chunk=8)
chunk2 = chunk32.then("chunk-2", "Chunks of 2 characters", chunk=2)
chunk128 = chunk32.then("chunk-128", "Chunks of 128 characters", chunk=128)
overlap = chunk8.then("overlap-24", "24 characters before each chunk read again", overlap=24)

LADDER = Ladder((chunk32, cut, chunk8, chunk2, chunk128, overlap), rates=cells.RATES)
