"""Loads SavedModels: of several that have the same graph, the functions once, and the variables of each.

The functions are registered as they are stored, and called by their names. `tf.saved_model.load` would first make a
graph of Python objects of each, which takes some ten times as long, and which only code that changes graphs needs.
"""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.core.protobuf.saved_object_graph_pb2 import SavedConcreteFunction, SavedObjectGraph

from service.backend.tensorflow_private import read_checkpoint, register_function

Signature = Callable[..., dict[str, Any]]  # tensors by name -> tensors by name; keeps its variables


class Graphs:
    """The graphs whose functions a process has registered."""

    def __init__(self) -> None:
        self._registered: set[str] = set()

    def load(self, folder: Path, graph: str) -> dict[str, Signature]:
        """Loads the signatures of a SavedModel. graph: what is the same for all SavedModels of the same functions.

        Raises ValueError if its functions use something other than variables, and TensorFlow's or protobuf's errors.
        """
        saved = SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0]
        suffix = f"_{zlib.crc32(graph.encode()):08x}"  # functions of several graphs may have the same names
        if graph not in self._registered:
            _register(saved.graph_def.library.function, suffix)
            self._registered.add(graph)
        objects = saved.object_graph_def
        variables = _read_variables(folder, objects)
        signatures = {}
        for child in objects.nodes[_paths(objects)["signatures"]].children:
            name = objects.nodes[child.node_id].bare_concrete_function.concrete_function_name
            function = objects.concrete_functions[name]
            if foreign := [number for number in function.bound_inputs if number not in variables]:
                kind = objects.nodes[foreign[0]].WhichOneof("kind")
                raise ValueError(f"the function {child.local_name} reads a {kind}, and may read variables alone")
            read = [variables[number] for number in function.bound_inputs]
            signatures[child.local_name] = _signature(name + suffix, function, read)
        return signatures


def _register(functions: Sequence[FunctionDef], suffix: str) -> None:
    """Registers functions under their names and a suffix."""
    names = {function.signature.name for function in functions}
    for function in functions:
        function.signature.name += suffix
        for node in function.node_def:
            if node.op in names:
                node.op += suffix
            for value in node.attr.values():
                for called in (value.func, *value.list.func) if value.WhichOneof("value") in ("func", "list") else ():
                    if called.name in names:
                        called.name += suffix
        register_function(function)


def _paths(objects: SavedObjectGraph) -> dict[str, int]:
    """Returns the number of each object by its names from the root on, joined by slashes: those nearer to it first."""
    paths, waiting = {"": 0}, [("", 0)]
    for prefix, number in waiting:
        for child in objects.nodes[number].children:
            if child.node_id not in paths.values():
                paths[path := prefix + child.local_name] = child.node_id
                waiting.append((f"{path}/", child.node_id))
    return paths


def _read_variables(folder: Path, objects: SavedObjectGraph) -> dict[int, tf.Variable]:
    """Reads the variables of a SavedModel, by the numbers of their objects."""
    values = read_checkpoint(str(folder / "variables" / "variables"))
    return {
        number: tf.Variable(values.get_tensor(f"{path}/.ATTRIBUTES/VARIABLE_VALUE"), trainable=False)
        for path, number in _paths(objects).items()
        if objects.nodes[number].HasField("variable")
    }


def _signature(name: str, function: SavedConcreteFunction, variables: Sequence[tf.Variable]) -> Signature:
    """Returns what calls a registered function with inputs by name, and with the handles of its variables."""
    inputs = sorted(function.canonicalized_input_signature.tuple_value.values[1].dict_value.fields)
    outputs = sorted(function.output_signature.dict_value.fields.items())
    specs = {output: value.tensor_spec_value for output, value in outputs}
    types = [spec.dtype for spec in specs.values()]

    def call(**given: Any) -> dict[str, Any]:
        handles = [variable.handle for variable in variables]
        tensors = [*(tf.convert_to_tensor(given[input]) for input in inputs), *handles]
        found = dict(zip(specs, tf.raw_ops.StatefulPartitionedCall(args=tensors, Tout=types, f=name), strict=True))
        for output, tensor in found.items():
            tensor.set_shape(tf.TensorShape(specs[output].shape))
        return found

    return call
