"""What is used of TensorFlow's private interfaces: how it numbers names, its registry of functions, how it calls one,
and its reader of checkpoints.

pyproject.toml bounds TensorFlow's version; `tests/backend/test_tensorflow_private.py` names what a new one breaks.
"""

import itertools
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.python.eager import context
from tensorflow.python.framework import ops
from tensorflow.python.training.py_checkpoint_reader import NewCheckpointReader

_loaded: Counter[tuple[str, str]] = Counter()


@contextmanager
def reproducible_names(graph: str, model: str) -> Iterator[None]:
    """Numbers names created in the block by the graph, and by how often the model has been loaded before.

    XLA's cache keys include function names, which TensorFlow numbers by a global counter. Another model in the store,
    or other shapes compiled before, would change the names, and no cached executable would be found. Models whose
    graphs are the same to the byte, and that differ in their weights alone, have the same names: what is compiled for
    one of them runs all others. A model that is loaded again, since an executable was damaged, gets new names:
    TensorFlow keeps what has failed.
    """
    key = graph, model
    numbers = itertools.count(zlib.crc32(f"{graph} {_loaded[key]}".encode()) << 20)
    _loaded[key] += 1
    usual, ops.uid = ops.uid, lambda: next(numbers)
    try:
        yield
    finally:
        ops.uid = usual


def register_function(function: FunctionDef) -> None:
    """Registers a function, so that operations call it by its name. Registered functions stay."""
    context.context().add_function_def(function)


class TracedFunction:
    """A traced function from tensors, in their order, to tensors by name.

    TensorFlow's `ConcreteFunction` binds and checks the inputs of each call by their names and types: that takes
    0.1 ms, as long as a fifth of a small step.

    Attributes:
        name: by which TensorFlow calls it.
    """

    def __init__(self, function: Any) -> None:
        """`function` is a ConcreteFunction that returns a dictionary."""
        self._function = function  # TensorFlow forgets a function that nothing refers to
        self.name = function.name
        self._captured = function.captured_inputs
        self._outputs = sorted(function.structured_outputs)  # as TensorFlow orders them

    def __call__(self, *inputs: Any) -> dict[str, Any]:
        found = context.context().call_function(self.name, [*inputs, *self._captured], len(self._outputs))
        return dict(zip(self._outputs, found, strict=True))


def read_checkpoint(path: str) -> Any:
    """Returns a reader of a checkpoint. `tf.train.load_checkpoint` is the same, in a module that imports 300 others."""
    return NewCheckpointReader(path)
