"""Event files for TensorBoard: `tensorboard --logdir runs`."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import keras
import tensorflow as tf
from matplotlib.figure import Figure

from service.artifact.manifest import Metric
from service.errors import TagwerkError
from training.metrics.predictions import confusion
from training.report import plots
from training.tasks.base import Predict, Task

PICTURES = 10
EVERY = 10  # steps between two points of a curve


class TensorBoardError(TagwerkError):
    """The event files cannot be written."""


class TensorBoard:
    """Writes curves and pictures of a run. A context manager.

    Per step: loss, learning rate and gradient norm before clipping. Per epoch: the metrics on dev. PICTURES times a
    run: histograms of the weights, samples of a language model, confusion of labels. Once: the graph of a step.

    Args:
        epochs: of the whole run.
    """

    def __init__(self, folder: Path, epochs: int) -> None:
        self._folder = folder
        self._between_pictures = max(1, epochs // PICTURES)
        with self._writing():
            self._writer = tf.summary.create_file_writer(str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
        except tf.errors.OpError:
            if error is None:
                raise

    def step(self, number: int, loss: float, learning_rate: float, gradient_norm: float) -> None:
        """Writes the values of a step; the first of the run is number 1."""
        if number % EVERY == 1:
            with self._writing(), self._writer.as_default(step=number):
                tf.summary.scalar("train/loss", loss)
                tf.summary.scalar("train/learning rate", learning_rate)
                tf.summary.scalar("train/gradient norm", gradient_norm)

    def epoch(self, number: int, task: Task, model: keras.Model, predict: Predict, metrics: Iterable[Metric]) -> None:
        """Writes the metrics of an epoch; `model` has the evaluated weights."""
        with self._writing(), self._writer.as_default(step=number):
            for metric in metrics:
                tf.summary.scalar(f"dev/{metric.name}", metric.value)
            if (number - 1) % self._between_pictures == 0:
                self._pictures(task, model, predict)
            self._writer.flush()

    def _pictures(self, task: Task, model: keras.Model, predict: Predict) -> None:
        for weight in model.trainable_variables:
            tf.summary.histogram(f"weights/{weight.path}", weight.value)
        for prompt, text in task.samples(predict).items():
            tf.summary.text(f"sample after {prompt!r}", f"```\n{text}\n```")
        for kind, predictions in list(task.predictions(predict, "dev").items())[:1]:  # the others have too many labels
            figure = plots.confusion(task.labels[kind], confusion(predictions))
            tf.summary.image("confusion", pixels(figure)[None])

    def graph(self, graph: tf.Graph) -> None:
        """Writes the graph of a step."""
        with self._writing(), self._writer.as_default(step=0):
            tf.summary.graph(graph)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            reason = error.message.splitlines()[0] if error.message else type(error).__name__
            raise TensorBoardError(f"{self._folder} cannot be written: {reason}") from error


def pixels(figure: Figure) -> Any:
    """Renders a figure, uint8, shape [height, width, 4]."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return tf.io.decode_png(file.getvalue())
