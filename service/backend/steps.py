"""A model's endpoint as the step that is compiled.

The first layer of a network multiplies what it knows of each word by its input weights: a product that is the same
wherever the word stands. A model that is exported in two parts, `project` and what is done from there, has its products
on the device, in a table, and the step looks them up:

- where `project` has no inputs, it gives the rows of a whole vocabulary, once;
- where it reads words, as a tagger does their characters, those that were met are remembered, see `WordMemory`.

The step of a batch of sequences, such as `tag_from_table`, looks up within its loop, which ends at the longest of them:
one executable of the shape [B, capacity] serves every length. A model that is exported whole takes as long for any.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from service.artifact.manifest import Manifest, TensorSpec
from service.backend.words import WordMemory
from service.types import Tensors

Signature = Callable[..., dict[str, Any]]

EXPLAIN = "explain"  # the endpoint that computes what few requests ask for, from what the step has computed


@dataclass(frozen=True)
class Step:
    """What is compiled, and what is to be done before it.

    Attributes:
        inputs, outputs: of `compute`.
        compute: tensors by name -> tensors by name, to be traced.
        prepare: the endpoint's inputs, padded -> those of `compute`.
        warm_up: runs what `prepare` runs on the device.
        explain: tensors by name -> the outputs that few requests ask for, to be traced; `explained` names them. It
            takes those of `outputs` that are `read`, and `inputs`.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    compute: Signature
    prepare: Callable[[Tensors], Tensors] = lambda inputs: inputs
    warm_up: Callable[[], None] | None = None
    explain: Signature | None = None
    explained: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()


def make_step(manifest: Manifest, signatures: Mapping[str, Signature]) -> Step:
    """Returns the step of a model's endpoint, in two parts if the model has them."""
    name, endpoints = manifest.endpoint_name, manifest.endpoints
    if f"{name}_from_table" in endpoints:
        return _step_from_table(manifest, signatures)
    return Step(manifest.endpoint.inputs, manifest.endpoint.outputs, signatures[name])


def _step_from_table(manifest: Manifest, signatures: Mapping[str, Signature]) -> Step:
    name = f"{manifest.endpoint_name}_from_table"
    project, endpoint, run = manifest.endpoints["project"], manifest.endpoints[name], signatures[name]
    inputs = {key: spec for key, spec in endpoint.inputs.items() if key != "table"}
    if project.inputs:
        memory = WordMemory(signatures["project"], project)

        def compute(**given: Any) -> dict[str, Any]:
            return run(table=tf.convert_to_tensor(memory.table), **given)

        return Step(inputs, endpoint.outputs, compute, memory.prepare, memory.warm_up)
    rows = signatures["project"]()["projected"]
    step = Step(inputs, endpoint.outputs, lambda **given: run(table=rows, **given))
    if (explanation := manifest.endpoints.get(EXPLAIN)) is None:
        return step
    read = frozenset(explanation.inputs.keys() - inputs.keys())
    return replace(step, explain=signatures[EXPLAIN], explained=frozenset(explanation.outputs), read=read)
