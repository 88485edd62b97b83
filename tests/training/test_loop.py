"""Training: that it learns, repeats, resumes and stops as it says."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from training.checkpoint import CheckpointError, Checkpoints
from training.loop import Diverged, best_of_run, learning_rate, make_predict, train
from training.tasks.tagging import Tagging

MakeTagging = Callable[..., Tagging]


pytestmark = pytest.mark.usefixtures("runs")


def trained(task: Tagging) -> tuple[list[Any], str]:
    """Trains; returns the best weights and what was said."""
    said = io.StringIO()
    train(task, Console(file=said, width=200))
    return [weight.numpy() for weight in best_of_run(task).weights], said.getvalue()


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


def test_learns_twenty_sentences_by_heart(tagging: MakeTagging) -> None:
    task = tagging(epochs=30)
    trained(task)
    metrics = task.evaluate(make_predict(task, best_of_run(task)), "dev")
    assert {m.name: m.value for m in metrics}["AllTags"] == 100


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tagging: MakeTagging, runs: Path) -> None:
    one, _ = trained(tagging(name="one", epochs=2))
    again, _ = trained(tagging(name="again", epochs=2))
    other, _ = trained(tagging(name="other", epochs=2, seed=2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tagging: MakeTagging) -> None:
    whole, _ = trained(tagging(name="whole", epochs=4, averaging=0.9))
    interrupted = tagging(name="parts", epochs=4, averaging=0.9)
    stop_after(interrupted, 2)
    with pytest.raises(Stop):
        trained(interrupted)
    resumed, said = trained(tagging(name="parts", epochs=4, averaging=0.9))
    assert "resuming after epoch 2" in said
    assert "epoch 2/4" not in said
    assert "epoch 3/4" in said
    assert all(np.array_equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_a_finished_run_is_not_run_again(tagging: MakeTagging) -> None:
    trained(tagging(epochs=1))
    _, said = trained(tagging(epochs=1))
    assert "epoch 1/1" not in said


def test_says_loss_metrics_speed_and_time_left_for_each_epoch(tagging: MakeTagging) -> None:
    _, said = trained(tagging(epochs=2))
    lines = [line for line in said.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2
    for part in ("loss ", "UPOS ", "tokens/s", " left"):
        assert part in lines[0]
    assert "\x1b" not in said  # not a terminal: no live line, no colours


def test_a_checkpoint_of_other_settings_is_refused(tagging: MakeTagging) -> None:
    trained(tagging(epochs=1))
    with pytest.raises(CheckpointError, match="other settings"):
        trained(tagging(epochs=2))


def test_a_damaged_checkpoint_is_refused(tagging: MakeTagging, runs: Path) -> None:
    task = tagging(epochs=1)
    trained(task)
    path = Checkpoints(runs, task.recipe).resume
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        trained(task)


def test_export_before_training_says_so(tagging: MakeTagging) -> None:
    with pytest.raises(CheckpointError, match="train the recipe first"):
        best_of_run(tagging())


def test_a_loss_that_is_no_number_stops_the_run(tagging: MakeTagging) -> None:
    with pytest.raises(Diverged, match=r"the loss is nan in step \d+ of epoch \d+"):
        trained(tagging(learning_rate=float("nan")))


def test_the_learning_rate_rises_and_falls_to_nothing(tagging: MakeTagging) -> None:
    recipe = tagging(warmup=0.1, learning_rate=1.0).recipe
    rates = [learning_rate(recipe, done) for done in (0.0, 0.05, 0.1, 0.55, 1.0)]
    np.testing.assert_allclose(rates, [0, 0.5, 1, 0.5, 0], atol=1e-12)
