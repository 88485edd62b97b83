"""Builds the task of a model version."""

from service.artifact.manifest import ModelVersion
from service.tasks.generation import TextGeneration
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging

AnyTask = Tagging | Sentiment | TextGeneration


def make_task(version: ModelVersion) -> AnyTask:
    """Builds a version's task."""
    task = version.manifest.task
    if task == "generate":
        return TextGeneration(version)
    longest = version.manifest.length_buckets[-1]
    return Tagging(version, longest) if task == "tag" else Sentiment(version, longest)
