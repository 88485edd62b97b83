"""Teachers: a pretrained transformer, tuned to a task, that answers for text that nobody has labelled.

They need the extra `teach` (PyTorch, Transformers and a package that carries the weights), at training time only; what
they hand on is a `training.lesson.Lesson`.
"""

from rich.console import Console

from service.errors import ConfigurationError
from training.config import Recipe
from training.lesson import Lesson
from training.tasks.sentiment import SentimentRecipe
from training.tasks.tagging import TaggingRecipe


def teach(recipe: Recipe, console: Console) -> Lesson:
    """Tunes a teacher to the train split of a recipe, and has it answer for unlabelled text.

    Raises:
        ConfigurationError: the recipe has no teacher.
    """
    if isinstance(recipe, TaggingRecipe) and recipe.teacher:
        from training.teachers import tagging

        return tagging.teach(recipe, console)
    if isinstance(recipe, SentimentRecipe) and recipe.teacher:
        from training.teachers import sentiment

        return sentiment.teach(recipe, console)
    raise ConfigurationError(f"{recipe.name} learns without a teacher")
