"""The captioner without attention: its decoder starts from the mean of the image's map. Measured, not shipped."""

from training.course.recipes import captioning
from training.tasks.recipe import derive

recipe = derive(captioning.recipe, "captioning-pooled", sizes={"attention": False})
