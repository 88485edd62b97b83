"""Training: that it repeats, resumes and stops as it says. That it learns: see the tests of the tasks."""

import io
import os
import resource
import signal
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.training.tiny import tagging
from training.course.models.word_tagger import WordTaggerSizes
from training.metrics.calibration import label_temperature
from training.run.checkpoint import CheckpointError, Checkpoints
from training.run.loop import Diverged, load_best, make_predict, train
from training.tasks.tagging import Tagging

SMALL = WordTaggerSizes(window=2, embedding=8, units=12, dropout=0.1)
small = partial(tagging, sizes=SMALL)  # traced soonest, with dropout: how a run goes does not depend on its layers
pytestmark = pytest.mark.usefixtures("runs")


def trained(task: Tagging) -> tuple[list[Any], str]:
    """Trains; returns the best weights and what was said."""
    said = io.StringIO()
    train(task, Console(file=said, width=200))
    return [weight.numpy() for weight in load_best(task).weights], said.getvalue()


def test_calibration_makes_a_tagger_as_sure_as_it_is_right_and_changes_no_answer():
    task = tagging(epochs=2, learning_rate=0.01)
    trained(task)
    model = load_best(task)
    predict = make_predict(task, model)
    before = task.predictions(predict, "dev")
    task.calibrate(model, predict)
    after = task.predictions(predict, "dev")
    for head, predictions in after.items():
        np.testing.assert_array_equal(predictions.labels, before[head].labels)
        assert label_temperature(predictions) == pytest.approx(1, abs=1e-3)
        assert label_temperature(before[head]) != pytest.approx(1, abs=1e-2)


class Stop(Exception):  # noqa: N818
    """Stands for Ctrl-C."""


def stop_after(task: Tagging, epochs: int) -> None:
    """Makes a task raise Stop when the epoch after `epochs` has begun."""
    batches, calls = task.train_batches, iter(range(epochs))

    def train_batches(rng: np.random.Generator) -> Any:
        if next(calls, None) is None:
            raise Stop
        return batches(rng)

    task.train_batches = train_batches  # type: ignore[method-assign]


def test_a_resumed_run_ends_where_an_uninterrupted_one_of_its_seed_does_and_no_other():
    settings: dict[str, Any] = {"epochs": 4, "averaging": 0.9, "schedule": "plateau", "learning_rate": 0.1}
    whole, said = trained(small(name="whole", **settings))
    assert "\x1b" not in said, "not a terminal: no live line, no colours"
    first, *_, last = [line for line in said.splitlines() if line.startswith("epoch")]
    assert [part in first for part in ("loss ", "UPOS ", "tokens/s", " left")] == [True] * 4
    interrupted = small(name="parts", **settings)
    stop_after(interrupted, 3)
    with pytest.raises(Stop):
        trained(interrupted)
    resumed, said = trained(small(name="parts", **settings))
    assert "resuming after epoch 3" in said
    assert [line.split()[1] for line in said.splitlines() if line.startswith("epoch")] == ["4/4"] == [last.split()[1]]
    assert all(np.array_equal(a, b) for a, b in zip(whole, resumed, strict=True))
    other, _ = trained(small(name="other", seed=2, **settings))
    assert not all(np.array_equal(a, b) for a, b in zip(whole, other, strict=True))


def test_a_checkpoint_of_other_settings_or_data_or_a_damaged_one_is_refused(runs):
    task = small(epochs=1)
    trained(task)
    with pytest.raises(CheckpointError, match="other settings"):
        trained(small(epochs=2))
    changed = small(epochs=1)
    changed.data = (task.data[0].model_copy(update={"sha256": "f" * 64}), *task.data[1:])
    with pytest.raises(CheckpointError, match="other settings or data"):
        trained(changed)
    path = Checkpoints(runs, task).resume
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        trained(task)


def test_a_loss_that_is_not_a_number_stops_the_run():
    with pytest.raises(Diverged, match=r"the loss is nan in step \d+ of epoch \d+"):
        trained(small(learning_rate=float("nan")))


def test_a_run_ends_early_when_no_epoch_is_better(runs):
    task = small(epochs=20, learning_rate=1e-9, patience=3)
    _, said = trained(task)
    assert [line.split()[1] for line in said.splitlines() if line.startswith("epoch")] == [
        f"{n}/20" for n in (1, 2, 3, 4)
    ]
    assert "stopped early: no epoch since 1 was better" in said
    _, said = trained(task)  # and it does not go on when it is asked again
    assert "epoch 5/20" not in said


TRAIN = """
from rich.console import Console
from tests.training.run.test_loop import small
from training.run.loop import train
train(small(epochs=10**6), Console(width=200))
"""


def test_a_killed_run_resumes_from_its_checkpoint(runs):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    environment = inherited | {"TAGWERK_RUNS_DIR": str(runs), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": "."}
    command = [sys.executable, "-u", "-c", TRAIN]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("epoch") and int(line.split()[1].split("/")[0]) > 2:
                break
        process.kill()  # somewhere in an epoch, or while its checkpoint is written
    assert process.returncode == -signal.SIGKILL
    task = small(epochs=10**6)
    model = load_best(task)
    assert all(np.isfinite(weight.numpy()).all() for weight in model.weights)
    stop_after(task, 1)
    with pytest.raises(Stop):
        trained(task)
    assert Checkpoints(runs, task).restore([]).epochs >= 3


def test_a_full_disk_keeps_the_old_checkpoint(runs):
    task = small(epochs=1)
    trained(task)
    checkpoints, limits = Checkpoints(runs, task), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(
            CheckpointError, match=r"checkpoint.npz cannot be written: File too large; the same command"
        ):
            checkpoints.save(task.network().variables, checkpoints.restore([]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoints.restore([]).epochs == 1
    assert not list(runs.glob("*/*.partial"))
