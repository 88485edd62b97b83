"""SavedModels of the same graph: the functions of the first run with the variables of each."""

from pathlib import Path

import pytest
import tensorflow as tf

from service.backend.graphs import Graphs


def save(folder: Path, weight: float, bias: float, *, listed: bool) -> Path:
    """Saves x w + b as the signature "run"; `listed` says whether the exporter's lists name all variables."""
    module = tf.Module()
    w, b = tf.Variable([weight], dtype=tf.float32), tf.Variable([bias], dtype=tf.float32)
    module.weights, module.variables_of_parts = [w], [w, b] if listed else [w]
    if not listed:
        module.rest = b

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")], autograph=False)
    def run(x):
        return {"y": x * w + b, "x": x}

    tf.saved_model.save(module, str(folder), signatures={"run": run})
    return folder


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("graphs_of_files", [("one", "one"), ("one", "another")])
def test_each_answers_with_its_own_variables(tmp_path, graphs_of_files, listed):
    graphs = Graphs()
    files = [save(tmp_path / "a", 2, 1, listed=listed), save(tmp_path / "b", 3, 5, listed=listed)]
    loaded = [graphs.load(file, graph) for file, graph in zip(files, graphs_of_files, strict=True)]
    for one, expected in ((loaded[1], [8, 11]), (loaded[0], [3, 5])):
        outputs = one.signatures["run"](x=tf.constant([1.0, 2.0]))
        assert {name: value.numpy().tolist() for name, value in outputs.items()} == {"y": expected, "x": [1, 2]}
    functions = {id(one.signatures["run"]) for one in loaded}
    assert len(functions) == 2
    shared = not hasattr(loaded[1].owner, "signatures")
    assert shared is (listed and graphs_of_files == ("one", "one"))
