"""What a run writes for TensorBoard: `tensorboard --logdir runs`."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import keras
import tensorflow as tf
from matplotlib.figure import Figure

from service.artifact import Metric
from service.errors import TagwerkError
from training import plots
from training.answers import confusion
from training.tasks.base import Predict, Task

PICTURES = 10
EVERY = 10  # steps from one point of a curve to the next


class BoardError(TagwerkError):
    """What TensorBoard would read cannot be written."""


class Board:
    """Curves of each step, and pictures of each epoch. A context manager.

    Steps: loss, learning rate, and the norm of the gradient before it is clipped. Each epoch: the metrics on dev.
    PICTURES times a run: the weights as histograms, what a language model says, what a tagger takes for what. Once: the
    graph of a step, by named scope.

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
        """A step is over; the first of the run is number 1."""
        if number % EVERY == 1:
            with self._writing(), self._writer.as_default(step=number):
                tf.summary.scalar("train/loss", loss)
                tf.summary.scalar("train/learning rate", learning_rate)
                tf.summary.scalar("train/gradient norm", gradient_norm)

    def epoch(self, number: int, task: Task, model: keras.Model, predict: Predict, metrics: Iterable[Metric]) -> None:
        """An epoch is evaluated; `model` has the weights that were."""
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
        for kind, answers in list(task.answers(predict, "dev").items())[:1]:  # the further ones have too many labels
            figure = plots.confusion(task.labels[kind], confusion(answers))
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
            raise BoardError(f"{self._folder} cannot be written: {reason}") from error


def pixels(figure: Figure) -> Any:
    """Returns a figure as a picture  # [height, width, 4] uint8."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return tf.io.decode_png(file.getvalue())
