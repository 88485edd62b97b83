"""The captioner: that it learns, that it generates what it scores as most probable, and its attention weights."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from service.text.vocabulary import PAD
from tests.training import tiny
from training import commands
from training.course.data.digit_scenes import LONGEST
from training.course.tasks.captioning import Captioning, CaptioningRecipe
from training.run.loop import make_predict


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("captions")


@pytest.fixture(scope="module")
def learnt(runs_folder: Path) -> tuple[Captioning, Any]:
    """A captioner that is overfitted on its twenty scenes."""
    task = tiny.captioning()
    return task, tiny.trained(task, runs_folder)


def images(task: Captioning) -> Any:
    return np.stack([scene.image for scene in task.splits["dev"]])


def test_learns_twenty_scenes_by_heart(learnt):
    task, model = learnt
    metrics = {metric.name: metric.value for metric in task.evaluate(make_predict(task, model), "dev")}
    assert metrics == {
        "exact captions": 100,
        "words": 100,
        "exact captions, digits: 1": 100,
        "exact captions, digits: 2": 100,
        "exact captions, digits: 3": 100,
    }


@pytest.mark.parametrize("attention", [True, False])
def test_greedy_decoding_gives_the_most_probable_words(attention):
    """Of a network that has learnt nothing, too: greedy decoding and teacher forcing are one computation."""
    keras.utils.set_random_seed(1)
    task = tiny.captioning(attention=attention)
    model = task.network()
    model.head.bias.assign(np.linspace(0, 0.1, len(task.words)))  # never PAD at first
    ids = np.asarray(model.caption(images(task)))
    assert ids.shape == (20, LONGEST + 1)
    before = np.pad(ids, ((0, 0), (1, 0)))[:, :-1]
    lengths = np.full(20, LONGEST + 1, np.int32)
    best = np.asarray(model(images(task), before, lengths)).argmax(axis=-1)
    for row, given in zip(ids, best, strict=True):
        end = row.tolist().index(PAD) + 1 if PAD in row else len(row)
        np.testing.assert_array_equal(row[:end], given[:end])
        assert (row[end:] == PAD).all()


def test_a_run_measures_test_and_is_drawn(learnt, runs_folder, run, capsys, monkeypatch):
    """Of the run that is done, whose checkpoint is found."""
    task, _ = learnt
    monkeypatch.setenv("TAGWERK_RUNS_DIR", str(runs_folder))
    monkeypatch.setattr(CaptioningRecipe, "task", lambda recipe: task)
    monkeypatch.setattr(commands, "load_recipe", lambda name: task.recipe)
    assert run("train", "captioning") == 0
    said = capsys.readouterr().out
    assert "exact captions, digits: 3" in said
    assert "reading 1 of the test split" in said
    assert run("attention", "captioning", "--out", "looks.png") == 0
    assert "written: looks.png" in capsys.readouterr().out
    assert Path("looks.png").stat().st_size > 10_000
