"""What an engine left out that was in haste: loaded while it serves."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from service.engine.loader import Loader, Sequences
from service.engine.padding import Grid
from service.engine.patience import call_patiently
from service.engine.protocol import ModelKey
from service.errors import DeviceFailed
from service.registry import ModelVersion

log = logging.getLogger("tagwerk.engine")

Step = Callable[[], None]


class Rest:
    """A thread that gives way to those who serve, and loads the other shapes of each model.

    What only the device thread may do, it hands over: `take` gets the measurements of a model's new shapes, its key,
    and the grid that it has once they are done.
    """

    def __init__(
        self,
        loader: Loader,
        versions: Mapping[ModelKey, ModelVersion],
        models: Mapping[ModelKey, Sequences],
        take: Callable[[Sequence[Step], ModelKey, Grid], None],
    ) -> None:
        self._loader = loader
        self._versions = versions
        self._models = models
        self._take = take
        self._thread = threading.Thread(target=self._load, name="rest", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Waits for its end, which comes soon once the loader is told to stop."""
        self._thread.join()

    def _load(self) -> None:
        for key, model in self._models.items():
            there = set(model.loaded.shapes)
            shapes = [shape for shape in model.grid.shapes if shape not in there]
            try:
                count = call_patiently(partial(self._loader.count, self._versions[key], model.model.warm_up(shapes)))
            except DeviceFailed as error:
                log.error("%s goes on with the shapes %s: %s", key, model.loaded.shapes, error)
                continue
            if count < len(shapes):
                return
            log.info("%s: %d more executables", key, count)
            self._take([partial(self._measure, key, shape) for shape in shapes], key, model.grid)

    def _measure(self, key: ModelKey, shape: tuple[int, int]) -> None:
        model = self._models[key]
        try:
            self._loader.time_step(self._versions[key], model.model, model.step_times, shape)
        except DeviceFailed as error:
            log.error("%s in shape %s failed: %s", key, shape, error)
