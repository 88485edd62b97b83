"""Imports only what the backend uses of TensorFlow: a third of its modules, in half the time.

This is for the service's own processes: in others `import tensorflow` must give a program all of it.
"""

import os
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

# The names that the backend uses, by the module of TensorFlow's API that has them.
NAMES = {
    "": "IndexedSlices TensorShape TensorSpec Variable argsort bitcast bool cast concat constant convert_to_tensor "
    "cumsum device float32 function gather int32 map_fn minimum ones range reduce_sum reshape shape split stack "
    "tensor_scatter_nd_update where zeros",
    "config": "list_physical_devices set_visible_devices",
    "config.experimental": "get_device_details set_memory_growth",
    "config.threading": "set_intra_op_parallelism_threads",
    "errors": "OpError",
    "math": "top_k",
    "nn": "log_softmax softmax",
    "random": "stateless_uniform",
    "raw_ops": "Empty StatefulPartitionedCall",
}
IMPORT = re.compile(r"^from (\S+) import (?:(\w+) as )?(\w+) # line", re.MULTILINE)  # in the files of that API


def import_subset() -> None:
    """Makes `import tensorflow` import what NAMES lists, unless it has been imported or is not installed."""
    if "tensorflow" in sys.modules or (spec := find_spec("tensorflow")) is None:
        return
    os.environ["TF2_BEHAVIOR"] = "1"  # as TensorFlow's own first lines do
    root = sys.modules["tensorflow"] = ModuleType("tensorflow", __doc__)
    root.__spec__, root.__path__ = spec, spec.submodule_search_locations or []
    for module in NAMES:
        parent: Any = root
        for name in filter(None, module.split(".")):
            if not hasattr(parent, name):
                setattr(parent, name, SimpleNamespace())
            parent = getattr(parent, name)
        vars(parent).update(import_names(Path(str(spec.origin)).parent, module))
    import_module("tensorflow.python.compat.v2_compat").enable_v2_behavior()


def import_names(folder: Path, module: str) -> dict[str, Any]:
    """Returns the names of a module of the API, each imported from where the module's own file imports it.

    `folder` is that of TensorFlow.
    """
    file = folder.joinpath(*["_api", "v2", *module.split(".")] if module else [], "__init__.py")
    places = {public: (defining, own or public) for defining, own, public in IMPORT.findall(file.read_text())}
    found = ((name, *places[name]) for name in NAMES[module].split())
    return {name: getattr(import_module(defining), own) for name, defining, own in found}
