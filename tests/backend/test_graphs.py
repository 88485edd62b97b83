"""SavedModels whose functions are registered, those of the same graph once, and called with the variables of each."""

from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from service.backend import graphs
from service.backend.graphs import Graphs, Signature
from service.backend.tensorflow_private import register_function as register
from service.backend.tensorflow_private import reproducible_names


def save(folder: Path, weight: float, bias: float) -> Path:
    """Saves x w + b as the signature "run": in a loop, so that a function is called by an operation in another."""
    saved = tf.Module()
    w, b = tf.Variable([weight], dtype=tf.float32), tf.Variable([bias], dtype=tf.float32)
    saved.weights, saved.rest = [w], b

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")], autograph=False)
    def run(x):
        (y,) = tf.while_loop(lambda y: tf.reduce_all(y < 2), lambda y: (y + 1,), (x,))
        return {"y": y * w + b, "x": x}

    with reproducible_names("saved", str(folder)):  # the same in every folder
        tf.saved_model.save(saved, str(folder), signatures={"run": run})
    return folder


def answers(loaded: dict[str, Signature], x: list[float]) -> dict[str, list[float]]:
    return {name: value.numpy().tolist() for name, value in loaded["run"](x=tf.constant(x)).items()}


@pytest.mark.parametrize("same", [True, False])
def test_each_has_its_own_variables_and_functions_of_one_graph_are_registered_once(tmp_path, monkeypatch, same):
    registered: list[str] = []

    def count(function: FunctionDef) -> None:
        registered.append(function.signature.name)
        register(function)

    monkeypatch.setattr(graphs, "register_function", count)
    files, loader = [save(tmp_path / "a", 2, 1), save(tmp_path / "b", 3, 5)], Graphs()
    first = loader.load(files[0], "one")
    functions = len(registered)
    second = loader.load(files[1], "one" if same else "another")
    assert len(registered) == functions * (1 if same else 2)
    assert answers(second, [0.5, 1.5]) == {"y": [9.5, 12.5], "x": [0.5, 1.5]}
    assert answers(first, [0.5, 1.5]) == {"y": [4, 6], "x": [0.5, 1.5]}


def test_functions_of_two_graphs_may_have_the_same_names(tmp_path):
    plus, minus = save(tmp_path / "a", 2, 1), save(tmp_path / "b", 2, 1)
    saved = SavedModel.FromString((minus / "saved_model.pb").read_bytes())
    (run,) = (
        f for f in saved.meta_graphs[0].graph_def.library.function if f.signature.name.startswith("__inference_run")
    )
    (add,) = (node for node in run.node_def if node.op == "AddV2")
    add.op = "Sub"
    (minus / "saved_model.pb").write_bytes(saved.SerializeToString())
    loader = Graphs()
    loaded = [loader.load(plus, "plus"), loader.load(minus, "minus")]
    assert [answers(one, [3.0])["y"] for one in loaded] == [[7], [5]]


def test_a_function_that_xla_compiles_calls_them(tmp_path):
    run = Graphs().load(save(tmp_path / "a", 2, 1), "compiled")["run"]
    compiled = tf.function(lambda x: run(x=x)["y"], jit_compile=True, autograph=False)
    assert compiled(tf.constant([3.0])).numpy().tolist() == [7]


def test_functions_that_read_something_else_are_refused(tmp_path):
    saved = tf.Module()
    saved.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1], [2]), default_value=0)
    run = tf.function(lambda x: {"y": saved.table.lookup(x)}, autograph=False)
    spec = tf.TensorSpec([None], tf.int32, name="x")
    tf.saved_model.save(saved, str(tmp_path), signatures={"run": run.get_concrete_function(spec)})
    with pytest.raises(ValueError, match="the function run reads a resource, and may read variables alone"):
        Graphs().load(tmp_path, "table")
