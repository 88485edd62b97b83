"""Teachers: a pretrained transformer, fine-tuned for a task, whose outputs on unlabelled text a student learns.

They need the extra `teach` (PyTorch, Transformers and a package with the pretrained weights). Their result is a
`training.data.distillation.DistillationSet`.
"""

from rich.console import Console

from service.errors import ConfigurationError
from training.data.distillation import DistillationSet
from training.tasks.base import Recipe
from training.tasks.sentiment import SentimentRecipe
from training.tasks.tagging import TaggingRecipe


def teach(recipe: Recipe, console: Console) -> DistillationSet:
    """Fine-tunes a teacher on the train split of a recipe and runs it on unlabelled text.

    Raises:
        ConfigurationError: the recipe has no teacher.
    """
    if isinstance(recipe, TaggingRecipe) and recipe.teacher:
        from training.teachers import tagging

        return tagging.teach(recipe, console)
    if isinstance(recipe, SentimentRecipe) and recipe.teacher:
        from training.teachers import sentiment

        return sentiment.teach(recipe, console)
    raise ConfigurationError(f"the recipe {recipe.name} has no teacher")
