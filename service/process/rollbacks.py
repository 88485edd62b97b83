"""Counts rollbacks: changes of a model to an older version."""

from collections.abc import Mapping

from service.telemetry.metrics import Metrics
from service.types import ModelKey


class RollbackCounter:
    """Compares the versions that serve with those that served before."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._versions: dict[str, int] = {}  # by model: the version with the largest share

    def note(self, shares: Mapping[ModelKey, float]) -> None:
        """Counts a rollback for each model whose version with the largest share is older than before.

        Of equal shares, the older version counts. `shares` are those of loaded versions, 0 to 1.
        """
        for name in {key.name for key in shares}:
            of_model = {int(key.version): share for key, share in shares.items() if key.name == name}
            version = min(of_model, key=lambda version: (-of_model[version], version))
            rollbacks = self._metrics.rollbacks.labels(name)  # exports the metric before the first rollback
            if version < self._versions.get(name, version):
                rollbacks.inc()
            self._versions[name] = version
