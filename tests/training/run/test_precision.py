"""Mixed precision: what is computed in 16 bits, and that tasks learn so."""

import io
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from tests.training import tiny
from training.run.loop import load_best, make_predict, precision, train
from training.run.step import Step
from training.run.workers import workers
from training.tasks.base import Task

pytestmark = pytest.mark.usefixtures("runs")

TASKS: dict[str, Callable[..., Task]] = {
    "tagger": tiny.tagging,
    "classifier": tiny.sentiment,
    "language": tiny.language_model,
    "lemmatizer": tiny.lemmatization,
    "translator": tiny.translation,
}


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_learns_in_mixed_precision_and_keeps_its_weights_in_32_bits(kind: str) -> None:
    losses = {}
    for name in ("float32", "mixed_bfloat16"):
        task = TASKS[kind](name=f"{kind}-{name}", epochs=3, precision=name)
        said = io.StringIO()
        train(task, Console(file=said, width=200))
        losses[name] = [float(line.split()[3]) for line in said.getvalue().splitlines() if line.startswith("epoch")]
        model = load_best(task)
        assert {weight.dtype for weight in model.trainable_variables} == {"float32"}
        assert all(np.isfinite(metric.value) for metric in task.evaluate(make_predict(task, model), "dev"))
    assert keras.config.dtype_policy().name == "float32"
    np.testing.assert_allclose(losses["mixed_bfloat16"], losses["float32"], rtol=0.05)
    assert losses["mixed_bfloat16"] != losses["float32"]
    assert losses["mixed_bfloat16"][-1] < losses["mixed_bfloat16"][0]


def test_products_are_taken_in_16_bits_and_losses_in_32() -> None:
    task = tiny.tagging()
    with precision("mixed_bfloat16"):
        model = task.network()
        optimizer = keras.optimizers.Adam(1e-3)
        optimizer.build(model.trainable_variables)
        step = Step(task, model, optimizer, [], workers())
        step(next(iter(task.train_batches(np.random.default_rng(0)))), ())
    operations = [op for f in [step.graph, *_functions(step.graph)] for op in f.get_operations()]
    kinds = {(op.type, tensor.dtype) for op in operations for tensor in op.outputs}
    assert ("BatchMatMulV2", tf.bfloat16) in kinds
    assert {kind for name, kind in kinds if "CrossEntropy" in name} == {tf.float32}


def _functions(graph: tf.Graph) -> list[tf.Graph]:
    """Returns the graphs of the functions that a graph calls, such as the bodies of its loops."""
    return [graph._get_function(name).graph for name in graph._functions if hasattr(graph._get_function(name), "graph")]
