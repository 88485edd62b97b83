"""The size of gradients over time, of language models of a verse."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training import tiny
from training.course import gradients
from training.course.gradients import ROWS, STEPS, sizes
from training.models.language_model import LanguageModelSizes
from training.tasks.language_modelling import LanguageModelling, LanguageModelRecipe

pytestmark = pytest.mark.usefixtures("runs")


@pytest.fixture(autouse=True)
def short_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has few characters be read before the steps from which gradients are taken: each is computed by itself."""
    monkeypatch.setattr(gradients, "READ", 2)


def language_model(cell: str, name: str = "lm-tiny") -> LanguageModelling:
    network = LanguageModelSizes(cell=cell, embedding=8, units=16, inner_dropout=0.0, output_dropout=0.0)
    return tiny.language_model(name=name, dev_share=0.3, epochs=1, sizes=network)


def test_a_gradient_shrinks_by_the_slope_of_a_sigmoid_at_each_step_and_stays_where_steps_add():
    keras.utils.set_random_seed(1)
    shrinking, kept = (sizes(task, task.network()) for task in map(language_model, ("simple-sigmoid", "additive")))
    assert shrinking.shape == (STEPS + 1, ROWS)
    np.testing.assert_allclose(shrinking[0], 1)
    steps = np.arange(STEPS + 1)[:, None]
    assert (shrinking <= 1.001 * 0.25**steps).all(), "U is orthogonal at the start, and a slope at most a quarter"
    assert np.median(kept[-1]) > 0.1


def test_the_command_trains_the_rungs_and_writes_a_plot(run, monkeypatch, capsys):
    monkeypatch.setattr(LanguageModelRecipe, "task", lambda recipe: language_model(recipe.sizes.cell, recipe.name))
    assert run("gradients", "cells/gru", "activations/tanh", "--out", "plot.svg") == 0
    assert "<svg" in Path("plot.svg").read_text()
    said = capsys.readouterr().out
    assert said.count("gru") >= 2
    assert "initial weights" in said


def test_a_tagger_has_no_such_gradients(run, monkeypatch, capsys):
    assert run("gradients", "language/markov-chain") == 1
    assert "no language model of one layer; right: cells/lstm" in capsys.readouterr().err
