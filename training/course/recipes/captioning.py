"""Captions of scenes of handwritten digits. Measured, not shipped."""

from training.course.tasks.captioning import CaptioningRecipe

recipe = CaptioningRecipe(
    name="captioning",
    description="Says in words which handwritten digits an image shows, and where",
    language="en",
    licence="CC BY 4.0",
    limits="One to three digits on a dark canvas of 32 x 32 pixels.",
    epochs=30,
    scenes=6400,
    batch_tokens=384,
    learning_rate=2e-3,
    averaging=0.999,
    shipped=False,
)
