"""An engine without a thread, a queue or a socket: it runs what came in this turn of the event loop, at its end."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence

import numpy as np

from service.artifact.version import ModelVersion
from service.backend.base import SequenceModel
from service.engine.batches import Outputs
from service.engine.padding import Grid, pad, unpad
from service.engine.protocol import Generation, Inference, OnChange, Outcome
from service.errors import ModelNotFound
from service.settings import Settings
from service.types import ModelKey, ModelState, Ragged, Sampled, State, joined

Waiting = list[tuple[Inference, asyncio.Future[Outcome]]]


class OneThreadEngine:
    """Runs sequence models from the event loop, which is blocked meanwhile.

    It is as small as such an engine can be: no deadlines, no admission, no generation, no plan of what to fill a batch
    with but the order in which they came. So what it gains over the split is the most that there is to gain.
    """

    def __init__(self, settings: Settings, versions: Sequence[ModelVersion]) -> None:
        self._settings = settings
        self._versions = {version.key: version for version in versions if version.manifest.task != "generate"}
        self._models: dict[ModelKey, SequenceModel] = {}
        self._waiting: defaultdict[ModelKey, Waiting] = defaultdict(list)
        self._state = State.STARTING

    def state(self) -> State:
        """Returns whether the engine takes requests."""
        return self._state

    def models(self) -> list[ModelState]:
        """Lists the model versions."""
        return [ModelState(key, self._state) for key in self._versions]

    async def start(self, on_change: OnChange) -> None:
        """Loads and compiles everything, which blocks the event loop."""
        from service.backend.saved_model import TensorFlowBackend  # which reads where executables are kept

        backend = TensorFlowBackend(self._settings.device, self._settings.device_threads)
        for key, version in self._versions.items():
            self._models[key] = backend.load_sequence_model(version.folder, version.manifest)
            for _ in self._models[key].warm_up(self._settings.batch_sizes, self._grid(key).capacity):
                pass
        self._state = State.READY
        if (taken := on_change()) is not None:
            await taken

    async def infer(self, request: Inference) -> Outcome:
        """Runs all sequences of a request, with those of others that come in the same turn of the event loop."""
        if request.model not in self._models:
            raise ModelNotFound(f"model {request.model} is not loaded")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        waiting = self._waiting[request.model]
        if not waiting:
            # What is ready to be read is read before the next turn, whose requests join.
            loop.call_soon(loop.call_soon, self._run, request.model)
        waiting.append((request, future))
        return await future

    async def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Refuses: this is measured without generation."""
        raise ModelNotFound("no model generates text here")
        yield  # what makes this a generator

    def cut_texts(self) -> None:
        """Does nothing: there are no texts."""

    async def close(self) -> None:
        """Takes no more."""
        self._state = State.STOPPED

    def _grid(self, key: ModelKey) -> Grid:
        manifest = self._versions[key].manifest
        return Grid(self._settings.batch_sizes, manifest.length_buckets)

    def _run(self, key: ModelKey) -> None:
        """Runs all that waits for a model, the short sequences together, in batches as large as they can be."""
        waiting, self._waiting[key] = self._waiting[key], []
        began = time.monotonic()
        waiting = [(request, future) for request, future in waiting if not future.done()]
        further = frozenset[str]().union(*(request.further for request, _ in waiting))
        together = joined([request.sequences for request, _ in waiting])
        try:
            timed, others = self._outputs(key, together, further)
            seconds = time.monotonic() - began
            row = cell = 0
            for request, future in waiting:
                rows, cells = len(request.sequences), request.sequences.tokens
                outputs = {name: values[cell : cell + cells] for name, values in timed.items()}
                outputs |= {name: values[row : row + rows] for name, values in others.items()}
                row, cell = row + rows, cell + cells
                future.set_result(Outcome(outputs, 0.0, seconds, min(len(together), self._settings.batch_sizes[-1])))
        except Exception as error:
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)

    def _outputs(self, key: ModelKey, together: Ragged, further: frozenset[str]) -> Outputs:
        """Returns the outputs of sequences, in their order: in one batch, as nearly always, or in several."""
        model, grid, specs = self._models[key], self._grid(key), self._versions[key].manifest.endpoint.inputs
        most, found = grid.batch_sizes[-1], []
        counts = [min(most, len(together) - first) for first in range(0, len(together), most)]
        for some in together.split(counts):
            batch = pad(some, specs, (grid.rows(len(some)), int(some.lengths.max())))
            found.append(unpad(model.run(batch.inputs, further), batch, model.timed_outputs))
        if len(found) == 1:
            return found[0]
        timed, others = (
            {name: np.concatenate([one[i][name] for one in found]) for name in found[0][i]} for i in (0, 1)
        )
        return timed, others
