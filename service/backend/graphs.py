"""Loads SavedModels: of several that have the same graph, the functions once, and the variables of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

Signature = Callable[..., dict[str, Any]]

VARIABLES = ("weights", "variables_of_parts")  # lists of variables, as the exporter names them


@dataclass(frozen=True, slots=True)
class Loaded:
    """A SavedModel.

    Attributes:
        signatures: tensors by name -> tensors by name.
        owner: of the variables, which must be kept.
    """

    signatures: Mapping[str, Signature]
    owner: Any


class Graphs:
    """The graphs that a process has loaded. TensorFlow takes half a second to load one, and a tenth for variables."""

    def __init__(self) -> None:
        self._first: dict[str, Any] = {}  # of each graph, the SavedModel that was loaded first

    def load(self, folder: Path, graph: str) -> Loaded:
        """Loads a SavedModel. graph: what is the same for all SavedModels of the same functions."""
        if (first := self._first.get(graph)) is not None and (loaded := _with_variables_of(folder, first)) is not None:
            return loaded
        loaded = tf.saved_model.load(str(folder))
        self._first[graph] = loaded
        return Loaded(loaded.signatures, loaded)


def _with_variables_of(folder: Path, first: Any) -> Loaded | None:
    """Returns the functions of a SavedModel with another's variables; None if they use something else as well."""
    values = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    variables: dict[int, tf.Variable] = {}  # by the identity of the handle that they replace
    for name in VARIABLES:
        for number, variable in enumerate(getattr(first, name, ())):
            if id(variable.handle) not in variables:
                value = values.get_tensor(f"{name}/{number}/.ATTRIBUTES/VARIABLE_VALUE")
                variables[id(variable.handle)] = tf.Variable(value, trainable=False)
    if any(
        id(handle) not in variables for function in first.signatures.values() for handle in function.captured_inputs
    ):
        return None
    signatures = {name: _with_variables(function, variables) for name, function in first.signatures.items()}
    return Loaded(signatures, variables)


def _with_variables(function: Any, variables: Mapping[int, tf.Variable]) -> Signature:
    """Returns a function that reads these variables in place of its own."""
    names = sorted(function.structured_input_signature[1])
    handles = [variables[id(handle)].handle for handle in function.captured_inputs]

    def call(**given: Any) -> dict[str, Any]:
        flat = function.inference_fn.call_flat(*(tf.convert_to_tensor(given[name]) for name in names), *handles)
        outputs: dict[str, Any] = tf.nest.pack_sequence_as(function.structured_outputs, flat)
        return outputs

    return call
