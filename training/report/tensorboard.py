"""Event files for TensorBoard: `tensorboard --logdir runs`."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from service.artifact.manifest import Metric
from service.errors import TagwerkError

EVERY = 10  # steps between two points of a curve


class TensorBoardError(TagwerkError):
    """The event files cannot be written."""


class TensorBoard:
    """Writes the curves of a run: per step, loss, learning rate and gradient norm before clipping; per epoch, metrics.

    Raises TensorBoardError where a file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with self._writing():
            self._writer = tf.summary.create_file_writer(str(folder))

    def step(self, number: int, loss: float, learning_rate: float, gradient_norm: float) -> None:
        """Writes the values of a step; the first of the run is number 1."""
        if number % EVERY == 1:
            with self._writing(), self._writer.as_default(step=number):
                tf.summary.scalar("train/loss", loss)
                tf.summary.scalar("train/learning rate", learning_rate)
                tf.summary.scalar("train/gradient norm", gradient_norm)

    def epoch(self, number: int, metrics: Iterable[Metric]) -> None:
        """Writes the metrics of an epoch on dev."""
        with self._writing(), self._writer.as_default(step=number):
            for metric in metrics:
                tf.summary.scalar(f"dev/{metric.name}", metric.value)
            self._writer.flush()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            reason = error.message.splitlines()[0] if error.message else type(error).__name__
            raise TensorBoardError(f"{self._folder} cannot be written: {reason}") from error
