"""Mixed precision: what is computed in 16 bits, and that tasks learn so."""

import io
from collections.abc import Callable
from functools import partial

import keras
import numpy as np
import pytest
from rich.console import Console

from tests.training import tiny
from training.run.loop import load_best, precision, train
from training.tasks.base import Task

pytestmark = pytest.mark.usefixtures("runs")

TASKS: dict[str, Callable[..., Task]] = {
    "classifier": tiny.sentiment,
    "language": tiny.language_model,
    "tagger with lemma rules": partial(tiny.tagging, splits=tiny.treebank_with_lemmas()),
}


def first_loss(task: Task, policy: str) -> float:
    """Computes the loss of a network as it is before training."""
    keras.utils.set_random_seed(1)
    with precision(policy):
        batch = next(iter(task.train_batches(np.random.default_rng(1))))
        return float(task.loss(task.network(), batch.inputs, batch.targets, task.initial_state())[0])


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_learns_in_the_precision_of_its_recipe_and_keeps_its_weights_in_32_bits(kind):
    task, said = TASKS[kind](precision="mixed_bfloat16", epochs=2), io.StringIO()
    exact, mixed = (first_loss(task, policy) for policy in ("float32", "mixed_bfloat16"))
    assert mixed == pytest.approx(exact, rel=0.05)
    assert mixed != exact
    train(task, Console(file=said, width=200))
    first, last = (float(line.split()[3]) for line in said.getvalue().splitlines() if line.startswith("epoch"))
    assert last < first
    assert {weight.dtype for weight in load_best(task).trainable_variables} == {"float32"}
    assert keras.config.dtype_policy().name == "float32", "as before"
