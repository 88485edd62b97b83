"""A model as all peers with dynamic batching run it: the SavedModel, compiled for a closed grid of shapes.

What a batcher gives is cut into those shapes by step times that are measured at warm-up. `PEER_WORDS=1` gives a peer
the service's memory of words as well, which nobody who serves a SavedModel has: the comparison is then of what is
around the same step.
"""

import os
import time
from collections.abc import Sequence
from statistics import median

from loadtests.peers.cuts import Cuts, Shape
from loadtests.peers.texts import grid_for, version_for
from service.backend.saved_model import TensorFlowBackend
from service.engine.padding import Array, Tensors, pad, unpad
from service.settings import load_settings

TIMED_RUNS = 5


class Model:
    """The tagger or classifier in XLA's executables. A tagger's best labels are taken in the step."""

    def __init__(self, task: str) -> None:
        """Compiles and times all shapes, which takes a minute."""
        settings, version = load_settings(), version_for(task)
        manifest = version.manifest
        if not os.environ.get("PEER_WORDS"):
            manifest = manifest.model_copy(update={"endpoints": {manifest.endpoint_name: manifest.endpoint}})
        self._inputs = manifest.endpoint.inputs
        self._model = TensorFlowBackend(settings.device, settings.device_threads).load_sequence_model(
            version.folder, manifest
        )
        grid = grid_for(version)
        for _ in self._model.warm_up(grid.shapes):
            pass
        self._cut = Cuts(grid, {shape: self._measure(shape) for shape in grid.shapes})

    def __call__(self, examples: Sequence[Tensors]) -> list[Tensors]:
        """Runs sequences, each word_ids [T] and what else the model reads; returns their outputs in the same order."""
        outputs: list[Tensors] = [{}] * len(examples)
        for places, shape in self._cut([len(example["word_ids"]) for example in examples]):
            for place, output in zip(places, self._run([examples[p] for p in places], shape), strict=True):
                outputs[place] = output
        return outputs

    def _run(self, examples: Sequence[Tensors], shape: Shape) -> list[dict[str, Array]]:
        batch = pad(examples, self._inputs, shape)
        return unpad(self._model.run(batch.inputs), batch, self._model.timed_outputs)

    def _measure(self, shape: Shape) -> float:
        """Returns the seconds that a batch of a shape takes."""
        seconds = []
        for _ in range(TIMED_RUNS):
            began = time.perf_counter()
            self._run([], shape)
            seconds.append(time.perf_counter() - began)
        return median(seconds)
