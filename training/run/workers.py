"""Synchronous data parallelism: several processes, on one machine or many, that train one network.

Each process is started by the same command and finds the others by TensorFlow's environment variable:

    TF_CONFIG='{"cluster": {"worker": ["localhost:7001", "localhost:7002"]}, "task": {"type": "worker", "index": 0}}'

All workers make the same batches. Each takes its share of the rows of a batch; the gradients are summed over all
workers, and each applies the same update (Chen et al. 2016). So n workers train the same weights as one. The first
worker writes the checkpoints and all start from them: they need a shared runs folder.
"""

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import tensorflow as tf

from service.errors import ConfigurationError
from training.data.dataset import Batch


class Workers:
    """This process among the workers.

    Attributes:
        number: how many workers there are.
        index: of this one, from 0.
    """

    def __init__(self, strategy: Any = None) -> None:
        self._strategy = strategy
        self.number: int = strategy.num_replicas_in_sync if strategy else 1
        self.index: int = strategy.cluster_resolver.task_id if strategy else 0

    @property
    def first(self) -> bool:
        """Whether this worker writes the checkpoints and the export."""
        return self.index == 0

    def part(self, batch: Batch, weight: Callable[[Batch], float]) -> tuple[Batch, float]:
        """Returns this worker's rows of a batch, and their share of its weight.

        If a batch has fewer rows than there are workers, every worker takes all of them with an equal share.
        """
        if self.number == 1 or batch.rows < self.number:
            return batch, 1 / self.number
        part = batch.every_nth(self.number, self.index)
        return part, weight(part) / weight(batch)

    def rows(self, state: Any) -> Any:
        """Returns this worker's rows of a state, whose tensors have the batch axis first. See `part`."""

        def own(tensor: Any) -> Any:
            return tensor if len(tensor) < self.number else tensor[self.index :: self.number]

        return tf.nest.map_structure(own, state)

    def total(self, tensors: Sequence[Any]) -> list[Any]:
        """Returns the sums of tensors over all workers."""
        if not self._strategy:
            return list(tensors)
        total: list[Any] = self._strategy.run(_add_up, (list(tensors),))
        return total


def _add_up(tensors: list[Any]) -> list[Any]:
    here = [tf.identity(tensor) for tensor in tensors]  # places them on this worker's device
    return list(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here))


@cache
def workers() -> Workers:
    """Returns this process among the workers of TF_CONFIG. Call it before TensorFlow runs anything.

    Raises:
        ConfigurationError: this process has several GPUs.
    """
    if not os.environ.get("TF_CONFIG"):
        return Workers()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        raise ConfigurationError("a worker uses one GPU: set CUDA_VISIBLE_DEVICES to another one for each")
    return Workers(tf.distribute.MultiWorkerMirroredStrategy())
