"""A model's endpoint as the step that is compiled.

The first layer of a network multiplies what it knows of each word by its input weights: a product that is the same
wherever the word stands. A model that is exported in two parts, `project` and what is done from there, has its products
on the device, and the step looks them up:

- where `project` has no inputs, it gives the rows of a whole vocabulary, once;
- where it reads words, as a tagger does their characters, those that were met are remembered, see `WordMemory`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from service.artifact import Manifest, TensorSpec
from service.backend.words import WordMemory
from service.engine.padding import Tensors

Signature = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """What is compiled, and what is to be done before it.

    Attributes:
        inputs: of `compute`.
        compute: tensors by name -> tensors by name, to be traced.
        prepare: the endpoint's inputs, padded -> those of `compute`.
        warm_up: runs whatever `prepare` runs on the device in each of its shapes.
    """

    inputs: Mapping[str, TensorSpec]
    compute: Signature
    prepare: Callable[[Tensors], Tensors] = lambda inputs: inputs
    warm_up: Callable[[], None] = lambda: None


def make_step(manifest: Manifest, signatures: Mapping[str, Signature]) -> Step:
    """Returns the step of a model's endpoint, in two parts if the model has them."""
    name = manifest.endpoint_name
    if "project" not in manifest.endpoints:
        return Step(manifest.endpoint.inputs, signatures[name])
    project = manifest.endpoints["project"]
    rest = {key: spec for key, spec in manifest.endpoints[f"{name}_projected"].inputs.items() if key != "projected"}
    if project.inputs:
        memory = WordMemory(signatures["project"], project)
        places, rows = {"places": TensorSpec(dtype="int32", axes=("B", "T"))}, memory.table
        compute = _looking_up("places", rows, rest, signatures[f"{name}_projected"])
        return Step(places | rest, compute, memory.prepare, memory.warm_up)
    (ids,) = (key for key, spec in manifest.endpoint.inputs.items() if spec.axes == ("B", "T"))
    rows = signatures["project"]()["projected"]
    compute = _looking_up(ids, rows, rest, signatures[f"{name}_projected"])
    return Step(manifest.endpoint.inputs, compute)


def _looking_up(ids: str, rows: Any, rest: Mapping[str, TensorSpec], run: Signature) -> Signature:
    def compute(**inputs: Any) -> dict[str, Any]:
        return run(projected=tf.gather(rows, inputs[ids]), **{name: inputs[name] for name in rest})

    return compute
