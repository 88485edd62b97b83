"""Imports only what the backend uses of TensorFlow: a third of its modules, in half the time.

This is for the service's own processes: in others `import tensorflow` must give a program all of it.
"""

import os
import sys
from collections import defaultdict
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

# The names of TensorFlow's API that the backend uses, by the module of `tensorflow.python` that defines them;
# "name: other" where that module has another name for it.
NAMES = {
    "eager.polymorphic_function.polymorphic_function": ("function",),
    "framework.config": (
        "config.list_physical_devices: list_physical_devices",
        "config.set_visible_devices: set_visible_devices",
        "config.experimental.get_device_details: get_device_details",
        "config.experimental.set_memory_growth: set_memory_growth",
        "config.threading.set_intra_op_parallelism_threads: set_intra_op_parallelism_threads",
    ),
    "framework.constant_op": ("constant",),
    "framework.dtypes": ("bool", "float32", "int32"),
    "framework.errors": ("errors.OpError: OpError",),
    "framework.indexed_slices": ("IndexedSlices",),
    "framework.ops": ("device: device_v2",),
    "framework.tensor": ("TensorSpec",),
    "framework.tensor_conversion": ("convert_to_tensor: convert_to_tensor_v2_with_dispatch",),
    "framework.tensor_shape": ("TensorShape",),
    "ops.array_ops": (
        "concat",
        "gather: gather_v2",
        "ones",
        "reshape",
        "shape: shape_v2",
        "split",
        "tensor_scatter_nd_update",
        "where: where_v2",
        "zeros",
    ),
    "ops.array_ops_stack": ("stack",),
    "ops.gen_array_ops": ("bitcast", "raw_ops.Empty: Empty"),
    "ops.gen_functional_ops": ("raw_ops.StatefulPartitionedCall: StatefulPartitionedCall",),
    "ops.gen_math_ops": ("minimum",),
    "ops.map_fn": ("map_fn: map_fn_v2",),
    "ops.math_ops": ("cast", "cumsum", "range", "reduce_sum"),
    "ops.nn_ops": ("math.top_k: top_k", "nn.log_softmax: log_softmax_v2", "nn.softmax: softmax_v2"),
    "ops.sort_ops": ("argsort",),
    "ops.stateless_random_ops": ("random.stateless_uniform: stateless_random_uniform",),
    "ops.variables": ("Variable",),
}


def import_subset() -> None:
    """Makes `import tensorflow` import what NAMES lists, unless it has been imported or is not installed."""
    if "tensorflow" in sys.modules or (spec := find_spec("tensorflow")) is None:
        return
    os.environ["TF2_BEHAVIOR"] = "1"  # as TensorFlow's own first lines do
    root = sys.modules["tensorflow"] = ModuleType("tensorflow", __doc__)
    root.__spec__, root.__path__ = spec, spec.submodule_search_locations or []
    found: defaultdict[str, dict[str, Any]] = defaultdict(dict)  # by the path before the last dot
    for module, names in NAMES.items():
        defining = import_module(f"tensorflow.python.{module}")
        for name in names:
            public, _, own = name.partition(": ")
            path, _, last = public.rpartition(".")
            found[path][last] = getattr(defining, own or public)
    for path in sorted(found, key=len):
        parent: Any = root
        for part in filter(None, path.split(".")):
            if not hasattr(parent, part):
                setattr(parent, part, SimpleNamespace())
            parent = getattr(parent, part)
        vars(parent).update(found[path])
    import_module("tensorflow.python.compat.v2_compat").enable_v2_behavior()
