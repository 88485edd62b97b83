"""What is used of TensorFlow's private interfaces: how it numbers names, its registry of functions, how it calls one,
converts one to XLA's operations and calls those, and its reader of checkpoints.

pyproject.toml bounds TensorFlow's version; `tests/backend/test_tensorflow_private.py` names what a new one breaks.
"""

import itertools
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_call_module
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.python.eager import context
from tensorflow.python.framework import ops
from tensorflow.python.ops.gen_resource_variable_ops import read_variable_op
from tensorflow.python.training.py_checkpoint_reader import NewCheckpointReader

_loaded: Counter[tuple[str, str]] = Counter()
_naming = threading.Lock()


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
    _loaded[key] += 1
    with names_from(f"{graph} {_loaded[key]}"):
        yield


@contextmanager
def names_from(text: str) -> Iterator[None]:
    """Numbers names that this thread creates in the block by a text. Blocks of several threads wait for each other."""
    ops.get_default_graph()  # the first use of a thread makes a graph, which is numbered, too
    numbers, thread = itertools.count(zlib.crc32(text.encode()) << 20), threading.get_ident()
    with _naming:
        usual = ops.uid
        ops.uid = lambda: next(numbers) if threading.get_ident() == thread else usual()
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
        captured: its inputs that are not given at a call, the handles of variables.
        outputs: their names, in TensorFlow's order.
        types: of the outputs.
    """

    def __init__(self, function: Any) -> None:
        """`function` is a ConcreteFunction that returns a dictionary."""
        self._function = function  # TensorFlow forgets a function that nothing refers to
        self.name = function.name
        self.captured: Sequence[Any] = function.captured_inputs
        self.outputs = sorted(function.structured_outputs)
        self.types = [function.structured_outputs[name].dtype for name in self.outputs]

    def __call__(self, *inputs: Any) -> dict[str, Any]:
        found = context.context().call_function(self.name, [*inputs, *self.captured], len(self.outputs))
        return dict(zip(self.outputs, found, strict=True))

    def definition(self) -> bytes:
        """Returns the function as TensorFlow stores it, with its variables' shapes; what it calls is only named."""
        messages = [self._function.function_def, *(_shape_of(handle) for handle in self.captured)]
        return b"".join(message.SerializeToString(deterministic=True) for message in messages)


def compiler_ir(function: TracedFunction, specs: Sequence[Any], stage: str) -> str:
    """Returns what XLA makes of a function on the processor, for inputs of these shapes, at a stage of compilation."""
    found: bytes = context.context().get_compiler_ir(
        device_name="/job:localhost/replica:0/task:0/device:CPU:0",
        platform_name=None,
        function_name=function.name,
        flat_args=list(specs),
        captured_inputs=function.captured,
        stage=stage,
    )
    return found.decode()


def call_module(module: str, inputs: Sequence[Any], types: Sequence[Any]) -> Any:
    """Returns the outputs of a StableHLO module on the processor; to be traced. types: of the outputs."""
    return xla_call_module(inputs, version=10, module=module, Sout=[None] * len(types), Tout=types, platforms=["CPU"])


def read_variable(handle: Any) -> Any:
    """Returns the value of the variable with this handle; to be traced."""
    return read_variable_op(handle, _shape_of(handle).dtype)


def _shape_of(handle: Any) -> Any:
    """Returns the shape and type of the variable with this handle, as a message."""
    return handle._handle_data.shape_and_type[0]


def read_checkpoint(path: str) -> Any:
    """Returns a reader of a checkpoint. `tf.train.load_checkpoint` is the same, in a module that imports 300 others."""
    return NewCheckpointReader(path)
