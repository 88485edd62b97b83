"""The part of TensorFlow that server processes import: each name is that of TensorFlow's API."""

import ast
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import pytest
import tensorflow as tf

from service.backend import steps
from service.backend.tensorflow_subset import NAMES, import_names, import_subset

PROGRAM = """
import sys
from service.engine.tensorflow_engine import import_tensorflow
backend = import_tensorflow(whole=False)
import tensorflow as tf
assert not hasattr(tf, "linalg"), "it is not the whole"
assert "tensorflow.python.data" not in sys.modules
double = tf.function(lambda x: tf.reduce_sum(tf.cast(x, tf.float32)), jit_compile=True, autograph=False)
print(double(tf.constant([1, 2, 3])).numpy())
"""


@pytest.mark.parametrize("module", NAMES)
def test_a_name_of_the_subset_is_that_of_tensorflow(module):
    of_api = attrgetter(module)(tf) if module else tf
    for name, value in import_names(Path(tf.__file__).parent, module).items():
        assert value is getattr(of_api, name)


def test_the_subset_is_what_the_backend_uses():
    used = set()
    for path in Path(steps.__file__).parent.glob("*.py"):
        found = (ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute))
        used |= {name.removeprefix("tf.") for name in found if name.startswith("tf.") and "(" not in name}
    listed = {f"{module}.{name}".lstrip(".") for module, names in NAMES.items() for name in names.split()}
    assert used - NAMES.keys() == listed


def test_a_process_computes_with_the_subset_alone():
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert done.stdout == "6.0\n"


def test_a_program_that_has_imported_tensorflow_keeps_it():
    import_subset()
    assert sys.modules["tensorflow"] is tf
    assert hasattr(tf, "linalg")
