"""Runs the teachers of a task."""

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from service.errors import ConfigurationError
from training.data import corpora
from training.data.distillation import DistillationSet
from training.recipes import taught_on
from training.tasks.base import Task
from training.tasks.recipe import TeacherSettings
from training.tasks.sentiment import Sentiment
from training.tasks.tagging import Tagging
from training.teachers import sentiment, tagging
from training.teachers.unlabelled import UnlabelledText, of_corpora, of_file, of_treebank


def teach(task: Task, console: Console, text: UnlabelledText | None = None) -> DistillationSet:
    """Fine-tunes the teachers of a task's recipe on its train split and runs them on unlabelled text.

    Args:
        text: to label; by default the text that the recipe names.

    Raises:
        ConfigurationError: the recipe has no teachers.
    """
    settings = task.recipe.teaching
    if isinstance(task, Tagging) and settings:
        together = _together(task, settings.together)
        return tagging.teach(task, settings, text or _text(task, settings), console, together)
    if isinstance(task, Sentiment) and settings:
        return sentiment.teach(task, settings, console)
    raise ConfigurationError(f"the recipe {task.recipe.name} has no teacher of its own")


def _together(task: Tagging, names: Sequence[str]) -> list[Tagging]:
    """Returns the tasks of the corpora that a teacher is tuned on at once."""
    recipe = task.recipe
    return [
        task
        if name == recipe.corpus
        else replace(taught_on(name), teacher=None, limit=recipe.limit, seed=recipe.seed).task()
        for name in names
    ]


def _text(task: Tagging, settings: TeacherSettings) -> UnlabelledText:
    """Returns the text that the settings name, which of a language other than English is split as its treebank is."""
    recipe = task.recipe
    if settings.text is None:
        return of_corpora(settings, recipe.seed)
    if "/" in settings.text:
        return of_treebank(settings.text)
    task.learn_segmenter()
    path, tokenizer = corpora.path(settings.text, recipe.language), task.text_tokenizer()
    text = of_file(path, "", tokenizer, settings.unlabelled_tokens, recipe.seed)
    return text._replace(sources=corpora.sources(settings.text))
