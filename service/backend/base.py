"""What the engine needs of a runtime. No TensorFlow here: the engine and its tests know only this."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from service.artifact import Manifest
from service.engine.padding import Array, Grid, Tensors


class SequenceModel(Protocol):
    """A model that maps padded sequences to outputs in one step."""

    @property
    def timed_outputs(self) -> frozenset[str]:
        """The outputs that have a time axis, [B, T, ...]; the others are [B, ...]."""

    def warm_up(self, grid: Grid) -> Iterator[tuple[int, int]]:
        """Compiles and runs each shape of the grid; yields each (B, T) when it is done."""

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Runs a batch whose shape is on the grid. Raises DeviceFailed, also for a shape that is not compiled."""


class GenerationModel(Protocol):
    """A language model whose recurrent state, one row a slot, stays on the device between steps."""

    def warm_up(self, slots: int, lengths: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Compiles and runs the step for that many slots and each number of tokens read; yields each shape."""

    def step(self, inputs: Tensors) -> Array:
        """Reads tokens into the slots' states and samples one token a slot.

        Inputs, S slots: ids [S, T] int32, lengths [S] int32, fresh [S] bool (the slot starts from a zero state),
        temperature [S] float32, top_k [S] int32, top_p [S] float32, seed [S] int64, position [S] int64.
        Returns the sampled ids [S] int32. Raises DeviceFailed.
        """


class Backend(Protocol):
    """A runtime on a device."""

    @property
    def device(self) -> str:
        """The device in words."""

    def load_sequence_model(self, folder: Path, manifest: Manifest) -> SequenceModel:
        """Loads a tagger or classifier and checks its goldens. Raises ArtifactError."""

    def load_generation_model(self, folder: Path, manifest: Manifest) -> GenerationModel:
        """Loads a language model and checks its goldens. Raises ArtifactError."""
