"""Teachers: a pretrained transformer, fine-tuned for a task, whose outputs on unlabelled text a student learns.

They need the extra `teach` (PyTorch, Transformers and packages with the pretrained weights). Their result is a
`training.data.distillation.DistillationSet`.
"""

import sys

from rich.console import Console

from service.errors import ConfigurationError
from training.data.distillation import DistillationSet
from training.tasks.base import Task
from training.tasks.sentiment import Sentiment
from training.tasks.tagging import Tagging
from training.teachers.unlabelled import Text, of_corpora

# TensorFlow and Triton each contain LLVM, which ends the process when its options are registered twice. So PyTorch
# must not load Triton, which it needs to compile networks: teachers are not compiled.
sys.modules.setdefault("triton", None)  # type: ignore[arg-type]


def teach(task: Task, console: Console, text: Text | None = None) -> DistillationSet:
    """Fine-tunes the teachers of a task's recipe on its train split and runs them on unlabelled text.

    Args:
        text: that of the recipe by default.

    Raises:
        ConfigurationError: the recipe has no teachers.
    """
    settings = task.recipe.teaching
    if isinstance(task, Tagging) and settings:
        from training.teachers import tagging

        return tagging.teach(task, settings, text or of_corpora(settings, task.recipe.seed), console)
    if isinstance(task, Sentiment) and settings:
        from training.teachers import sentiment

        return sentiment.teach(task, settings, console)
    raise ConfigurationError(f"the recipe {task.recipe.name} has no teacher of its own")
