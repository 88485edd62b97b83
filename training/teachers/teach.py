"""Runs the teachers of a task."""

from rich.console import Console

from service.errors import ConfigurationError
from training.data.distillation import DistillationSet
from training.tasks.base import Task
from training.tasks.sentiment import Sentiment
from training.tasks.tagging import Tagging
from training.teachers import sentiment, tagging
from training.teachers.unlabelled import Text, of_corpora


def teach(task: Task, console: Console, text: Text | None = None) -> DistillationSet:
    """Fine-tunes the teachers of a task's recipe on its train split and runs them on unlabelled text.

    Args:
        text: to label; by default the text that the recipe names.

    Raises:
        ConfigurationError: the recipe has no teachers.
    """
    settings = task.recipe.teaching
    if isinstance(task, Tagging) and settings:
        return tagging.teach(task, settings, text or of_corpora(settings, task.recipe.seed), console)
    if isinstance(task, Sentiment) and settings:
        return sentiment.teach(task, settings, console)
    raise ConfigurationError(f"the recipe {task.recipe.name} has no teacher of its own")
