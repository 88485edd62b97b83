"""Builds the step to compile from a model's endpoints.

The first layer multiplies each word's features by its input weights; the product does not depend on the word's
position. So a model has two parts, `project` and the rest: these products are in a table on the device, where the step
looks them up:

- if `project` has no inputs, the table holds the rows of a whole vocabulary, computed once while the step is compiled;
- if it reads words, such as a tagger's characters, the table caches the words seen so far, see `WordCache`.

The rest, such as `tag_from_table`, looks up within its loop, which ends at the longest sequence of the batch: one
executable of the shape [B, capacity] serves every length.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from service.artifact.manifest import Manifest, TensorSpec
from service.backend.graphs import Signature
from service.backend.words import WordCache, empty_tables

EXPLAIN = "explain"  # the endpoint that computes explanations from the outputs of the step


@dataclass(frozen=True)
class Step:
    """A function to compile, from tensors by name to tensors by name, and the cache that makes some of its inputs.

    Attributes:
        inputs, outputs: of `compute`.
        fill: computes the table of a whole vocabulary.
        cache: replaces the words of the endpoint's inputs by the rows of its table, for `compute`.
        explain: computes the `explained` outputs from those of `outputs` that are in `read`, and `inputs`.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    compute: Signature
    fill: Callable[[], None]
    cache: WordCache | None = None
    explain: Signature | None = None
    explained: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()


def make_step(manifest: Manifest, signatures: Mapping[str, Signature]) -> Step:
    """Returns the step of a model's endpoint."""
    name = f"{manifest.endpoint_name}_from_table"
    project, endpoint, run = manifest.endpoints["project"], manifest.endpoints[name], signatures[name]
    names = {"projected": "table"}  # of an output of the projection as an input of the step
    inputs = {key: spec for key, spec in endpoint.inputs.items() if key not in ("table", *project.outputs)}
    cache = WordCache(signatures["project"], project) if project.inputs else None
    tables = empty_tables(project, {}) if cache is None else cache.tables

    def compute(**given: Any) -> dict[str, Any]:
        return run(**{names.get(name, name): tf.convert_to_tensor(table) for name, table in tables.items()}, **given)

    def fill() -> None:
        if cache is None:
            for name, values in signatures["project"]().items():
                tables[name].assign(values)

    step = Step(inputs, endpoint.outputs, compute, fill, cache)
    if (explanation := manifest.endpoints.get(EXPLAIN)) is None:
        return step
    read = frozenset(explanation.inputs.keys() - inputs.keys())
    return replace(step, explain=signatures[EXPLAIN], explained=frozenset(explanation.outputs), read=read)
