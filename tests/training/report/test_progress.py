"""The progress of a run: what its lines say of the time that is left."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from training.report import progress
from training.report.progress import Reporter

FIRST_STEP, STEP, EVALUATION = 100, 5, 20  # seconds


@pytest.mark.parametrize(("batches", "left"), [(5, ["1:40", "0:47", "0:00"]), (1, ["?", "0:45", "0:00"])])
def test_the_time_left_is_that_of_further_epochs_without_the_first_step(monkeypatch, batches, left):
    """The first step traces the network."""
    now = 0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    file = io.StringIO()
    with Reporter(Console(file=file), epochs=3) as report:
        for epoch in (1, 2, 3):
            report.epoch(epoch, batches)
            for step in range(1, batches + 1):
                now += STEP if epoch + step > 2 else FIRST_STEP
                report.step(step, 1.0, 10)
            now += EVALUATION
            report.epoch_done(1.0, 10, 1.0, (), best=False)
    assert [line.split()[-2] for line in file.getvalue().splitlines()] == left
