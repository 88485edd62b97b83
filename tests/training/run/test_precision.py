"""Mixed precision: what is computed in 16 bits, and that tasks learn so."""

import io
from collections.abc import Callable
from functools import partial

import keras
import numpy as np
import pytest
from rich.console import Console

from tests.training import tiny
from training.run.loop import load_best, train
from training.tasks.base import Task

pytestmark = pytest.mark.usefixtures("runs")

TASKS: dict[str, Callable[..., Task]] = {
    "classifier": tiny.sentiment,
    "language": tiny.language_model,
    "tagger with lemma rules": partial(tiny.tagging, splits=tiny.treebank_with_lemmas()),
}


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_learns_in_the_precision_of_its_recipe_and_keeps_its_weights_in_32_bits(kind):
    losses = []
    for name in ("float32", "mixed_bfloat16"):
        task, said = TASKS[kind](name=f"{kind}-{name}", precision=name, epochs=3), io.StringIO()
        train(task, Console(file=said, width=200))
        losses.append([float(line.split()[3]) for line in said.getvalue().splitlines() if line.startswith("epoch")])
        assert {weight.dtype for weight in load_best(task).trainable_variables} == {"float32"}
        assert keras.config.dtype_policy().name == "float32", "as before"
    exact, mixed = losses
    np.testing.assert_allclose(mixed, exact, rtol=0.05)
    assert mixed != exact
    assert mixed[-1] < mixed[0]
