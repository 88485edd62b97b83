"""The tagger's weights and the arrays that it is timed on, for runtimes that read no SavedModel."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from service.artifact.manifest import SAVED_MODEL
from service.settings import load_settings
from service.store.serving import served
from service.types import Array, Tensors

HEADS = ("upos", "xpos", "feats", "lemma")


@dataclass(frozen=True)
class Weights:
    """A tagger after its words are read, in floats: an LSTM in both directions, and its heads side by side.

    The gates are i, f, g, o in this order. D = 2 directions, H units, I wide inputs.
    """

    kernel: Array  # [D, I, 4 H]
    recurrent_kernel: Array  # [D, H, 4 H]
    bias: Array  # [D, 4 H]
    head_kernel: Array  # [2 H, K of all heads]
    head_bias: Array  # [K of all heads]
    labels: tuple[int, ...]  # K of each head

    @property
    def units(self) -> int:
        """H."""
        return int(self.recurrent_kernel.shape[1])


def read_weights() -> tuple[Weights, Path]:
    """Returns the weights of the tagger that the service takes by default, and its folder."""
    versions = served(load_settings())[0]
    version = next(version for version in versions if version.manifest.task == "tag")
    loaded = tf.saved_model.load(str(version.folder / SAVED_MODEL))
    found = {variable.name.removesuffix(":0"): variable.numpy() for variable in loaded.weights}
    for name, scale in [
        (name.removesuffix("_scale"), scale) for name, scale in found.items() if "kernel_scale" in name
    ]:
        found[name] = found[name] * scale  # integers, see `training.cells.integers`
    words = max(
        (name.split("/")[0] for name in found if name.endswith("recurrent_kernel")),
        key=lambda n: found[f"{n}/kernel"].size,
    )
    heads = {head: (found[f"{head}/kernel"], found[f"{head}/bias"]) for head in HEADS}
    weights = Weights(
        kernel=found[f"{words}/kernel"],
        recurrent_kernel=found[f"{words}/recurrent_kernel"],
        bias=found[f"{words}/bias"],
        head_kernel=np.concatenate([kernel for kernel, _ in heads.values()], axis=1),
        head_bias=np.concatenate([bias for _, bias in heads.values()]),
        labels=tuple(len(bias) for _, bias in heads.values()),
    )
    return weights, version.folder


def batch_of(weights: Weights, rows: int, length: int) -> Tensors:
    """Returns embedded words  # inputs [B, T, I] float32, lengths [B] int32: full rows, which no runtime is spared."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(scale=0.3, size=(rows, length, weights.kernel.shape[1])).astype(np.float32)
    return {"inputs": inputs, "lengths": np.full(rows, length, np.int32)}
