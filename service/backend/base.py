"""The interface of a runtime. Without TensorFlow, so that the engine and its tests do not depend on it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from service.artifact.manifest import Manifest
from service.types import Array, Tensors

GENERATION_INPUTS: Mapping[str, tuple[str, tuple[str, ...]]] = {  # types and axes; see `GenerationModel.start`
    "slots": ("int32", ("B",)),
    "ids": ("int32", ("B", "T")),
    "lengths": ("int32", ("B",)),
    "fresh": ("bool", ("B",)),
    "temperature": ("float32", ("B",)),
    "top_k": ("int32", ("B",)),
    "top_p": ("float32", ("B",)),
    "seed": ("int64", ("B",)),
    "position": ("int64", ("B",)),
}
Fetch = Callable[[], dict[str, Array]]  # waits for a step that has been started, and returns its outputs


class SequenceModel(Protocol):
    """A model that maps padded sequences to outputs in one step."""

    @property
    def timed_outputs(self) -> frozenset[str]:
        """The outputs that have a time axis; the others are [B, ...]."""

    def warm_up(self, batch_sizes: Iterable[int], capacity: int) -> Iterator[None]:
        """Compiles a step of each batch size B for sequences of up to `capacity`; yields after each executable."""

    def start(self, inputs: Tensors, extra_outputs: frozenset[str] = frozenset()) -> Fetch:
        """Starts a batch [B, T], T up to the capacity. Returns what fetches the default outputs and `extra_outputs`.

        `extra_outputs` may include, for each head, the `candidate_outputs` of the manifest: each token's most probable
        labels, N = 5 or all, the lower id first of equals. Outputs with a time axis are concatenated, without padding:
        [sum of lengths, ...]. Both raise DeviceFailed, also for a B that is not compiled.
        """


class GenerationModel(Protocol):
    """A language model whose recurrent state, one row per slot, stays on the device between steps.

    A step reads some of the slots; the others do not change.
    """

    def warm_up(self, slots: int, shapes: Iterable[tuple[int, int]]) -> Iterator[None]:
        """Allocates the states of the slots, compiles a step for each (B, T); yields after each executable."""

    def start(self, inputs: Tensors, logprobs: bool = False) -> Fetch:
        """Starts to read tokens into slots' states, and to sample one token per row.

        `inputs` are GENERATION_INPUTS. Filler rows have the number of slots as their slot; a `fresh` slot starts from a
        zero state. Fetches the sampled ids [B] int32; with `logprobs`, also their logprobs [B] float32,
        and the most probable tokens, N = 5 or all: top_ids [B, N] int32, top_logprobs [B, N] float32, best first.
        Both raise DeviceFailed.
        """


class Backend(Protocol):
    """A runtime on a device."""

    @property
    def device(self) -> str:
        """The device's name for logs."""

    @property
    def overlaps(self) -> bool:
        """True if the device runs a step that has been started while the processor does other work."""

    def load_sequence_model(self, folder: Path, manifest: Manifest) -> SequenceModel:
        """Loads a tagger or classifier, and checks its goldens. Raises ArtifactError."""

    def load_generation_model(self, folder: Path, manifest: Manifest) -> GenerationModel:
        """Loads a language model, and checks its goldens. Raises ArtifactError."""
