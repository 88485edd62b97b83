"""Several processes, on one machine or many, that train one network together: synchronous data parallelism.

Each is started by the same command, and knows the others by TensorFlow's own variable:

    TF_CONFIG='{"cluster": {"worker": ["localhost:7001", "localhost:7002"]}, "task": {"type": "worker", "index": 0}}'

All read the same batches. Of each, a worker takes its share of the rows; the gradients are added up over all workers,
and each makes the same update with their sum (Chen et al. 2016). So n workers learn what one does. The first writes
checkpoints, and all begin from them: they share the folder of the runs.
"""

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import tensorflow as tf

from service.errors import ConfigurationError
from training.dataset import Batch


class Workers:
    """One of the processes.

    Attributes:
        number: of all of them.
        index: of this one, from 0.
    """

    def __init__(self, strategy: Any = None) -> None:
        self._strategy = strategy
        self.number: int = strategy.num_replicas_in_sync if strategy else 1
        self.index: int = strategy.cluster_resolver.task_id if strategy else 0

    @property
    def first(self) -> bool:
        """Whether this one writes what the run leaves."""
        return self.index == 0

    def part(self, batch: Batch, weight: Callable[[Batch], float]) -> tuple[Batch, float]:
        """Returns this worker's rows of a batch, and what share they have in its weight.

        All have all of a batch of fewer rows than workers, and equal shares.
        """
        if self.number == 1 or batch.rows < self.number:
            return batch, 1 / self.number
        part = batch.every(self.number, self.index)
        return part, weight(part) / weight(batch)

    def rows(self, state: Any) -> Any:
        """Returns this worker's rows of a state: each tensor's first axis is that of the rows. See `part`."""

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
    here = [tf.identity(tensor) for tensor in tensors]  # on the device of this worker, which the sum has to know
    return list(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here))


@cache
def workers() -> Workers:
    """Returns this process among the workers that TF_CONFIG names. Call it before TensorFlow computes anything.

    Raises:
        ConfigurationError: this process has several GPUs.
    """
    if not os.environ.get("TF_CONFIG"):
        return Workers()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        raise ConfigurationError("a worker computes on one GPU: set CUDA_VISIBLE_DEVICES, another for each")
    return Workers(tf.distribute.MultiWorkerMirroredStrategy())
