"""Mixed precision: what is computed in 16 bits, and that tasks learn so."""

import io
from collections.abc import Callable
from functools import partial

import keras
import numpy as np
import pytest
from rich.console import Console

from tests.training import tiny
from training.course.models.word_tagger import WordTaggerSizes
from training.run.loop import load_best, make_predict, precision, train
from training.run.step import Step
from training.tasks.base import Task

pytestmark = pytest.mark.usefixtures("runs")

TASKS: dict[str, Callable[..., Task]] = {
    "classifier": tiny.sentiment,
    "language": tiny.language_model,
    "tagger with lemma rules": partial(tiny.tagging, splits=tiny.treebank_with_lemmas()),
}


def losses(task: Task, name: str) -> list[float]:
    """Trains a new network for three epochs in a precision; returns the mean loss of each."""
    keras.utils.set_random_seed(1)
    with precision(name):
        model = task.network()
        assert {weight.dtype for weight in model.trainable_variables} == {"float32"}
        optimizer = keras.optimizers.Adam(task.recipe.learning_rate)
        optimizer.build(model.trainable_variables)
        step = Step(task, model, optimizer, [])
        means = []
        for epoch in range(3):
            batches, state = task.train_batches(np.random.default_rng(epoch)), task.initial_state()
            told = []
            for batch in batches:
                loss, _, state = step(batch, state)
                told.append(loss)
            means.append(float(np.mean(told)))
        if name != "float32":
            assert all(np.isfinite(metric.value) for metric in task.evaluate(make_predict(task, model), "dev"))
    return means


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_learns_in_mixed_precision_and_keeps_its_weights_in_32_bits(kind):
    task = TASKS[kind]()
    exact, mixed = losses(task, "float32"), losses(task, "mixed_bfloat16")
    np.testing.assert_allclose(mixed, exact, rtol=0.05)
    assert mixed != exact
    assert mixed[-1] < mixed[0]


def test_a_run_uses_the_precision_of_its_recipe_and_restores_the_default():
    said = {}
    for name in ("float32", "mixed_bfloat16"):
        task = tiny.tagging(
            name=f"tagger-{name}", precision=name, sizes=WordTaggerSizes(window=2, embedding=8, units=12)
        )
        output = io.StringIO()
        train(task, Console(file=output, width=200))
        said[name] = [line.split()[3] for line in output.getvalue().splitlines() if line.startswith("epoch")]
        assert {weight.dtype for weight in load_best(task).trainable_variables} == {"float32"}
        assert keras.config.dtype_policy().name == "float32"
    assert len(said["float32"]) == len(said["mixed_bfloat16"]) == 2
    assert said["float32"] != said["mixed_bfloat16"]
