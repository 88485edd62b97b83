"""The captioner: that it learns, that it generates what it scores as most probable, and its attention weights."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from rich.console import Console

from service.text.vocabulary import PAD
from tests.training import tiny
from training import commands
from training.course.data.digit_scenes import LONGEST
from training.course.tasks.captioning import Captioning, CaptioningRecipe
from training.data.dataset import collate
from training.run.loop import load_best, make_predict, train


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Captioning, Any]:
    """A captioner that is overfitted on its twenty scenes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGWERK_RUNS_DIR", str(tmp_path_factory.mktemp("captions")))
        task = tiny.captioning()
        train(task, Console(file=io.StringIO()))
        return task, load_best(task)


def images(task: Captioning) -> Any:
    return np.stack([scene.image for scene in task.splits["dev"]])


def test_learns_twenty_scenes_by_heart(learnt: tuple[Captioning, Any]) -> None:
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
def test_what_is_generated_is_the_most_probable_after_itself(attention: bool) -> None:
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


def test_attention_is_shared_among_the_cells_of_the_image(learnt: tuple[Captioning, Any]) -> None:
    task, model = learnt
    ids, weights = (np.asarray(output) for output in model.attend(images(task)))
    np.testing.assert_array_equal(ids, model.caption(images(task)))
    assert weights.shape == (20, LONGEST + 1, 64)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


def test_a_batch_has_captions_from_their_start_to_their_end() -> None:
    task = tiny.captioning()
    scene = task.splits["train"][0]
    batch = collate([task._example(scene)])
    words = task.words.ids(scene.caption)
    assert batch.inputs["before"].tolist() == [[PAD, *words]]
    assert batch.targets["word_ids"].tolist() == [[*words, PAD]]
    assert batch.tokens == len(words) + 1


def test_a_caption_counts_if_it_is_right_as_a_whole() -> None:
    task = tiny.captioning()
    ids = task.words.ids
    captions = [[*ids(scene.caption)] for scene in task.splits["dev"]]
    captions[0][-1] = ids(["of"])[0]  # not the digit
    captions[1].append(ids(["and"])[0])  # a word too many
    words = sum(map(len, captions))

    def predict(inputs: Mapping[str, Any]) -> dict[str, Any]:
        rows = [caption + [PAD] * (LONGEST + 1 - len(caption)) for caption in captions]
        return {"word_ids": np.array(rows, np.int32)}

    metrics = {metric.name: metric.value for metric in task.evaluate(predict, "dev")}
    assert metrics["exact captions"] == 90
    assert metrics["words"] == round(100 * (words - 2) / words, 2)


def test_a_run_measures_test_and_is_drawn(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny.captioning(epochs=1, scenes=20)
    monkeypatch.setattr(CaptioningRecipe, "task", lambda recipe: task)
    monkeypatch.setattr(commands, "load_recipe", lambda name: task.recipe)
    assert run("train", "captioning") == 0
    said = capsys.readouterr().out
    assert "exact captions, digits: 3" in said
    assert "reading 1 of the test split" in said
    assert run("attention", "captioning", "--out", "looks.png") == 0
    assert "written: looks.png" in capsys.readouterr().out
    assert Path("looks.png").stat().st_size > 10_000
