"""Two workers on one machine learn what one does."""

import io
import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.training import tiny
from training.data.dataset import collate
from training.models.language_model import LanguageModelSizes
from training.models.tagger import TaggerSizes
from training.run.checkpoint import Checkpoints
from training.run.loop import train
from training.run.workers import Workers

WORKER = """
from types import SimpleNamespace
from training import commands
from tests.training.run.test_workers import TASKS
commands.load_recipe = lambda name: SimpleNamespace(name=name, task=TASKS[name], threads=1, shipped=False)
for kind in TASKS:
    commands.train(SimpleNamespace(recipe=kind))
"""


def tagging(**changes: Any) -> Any:
    """Returns a tagger without dropout, whose masks go by the rows of a batch."""
    sizes = TaggerSizes(
        word_embedding=8, character_embedding=4, character_units=4, units=12, input_dropout=0, output_dropout=0
    )
    return tiny.tagging(epochs=2, sizes=sizes, word_dropout=0.0, averaging=0.9, **changes)


def language_model() -> Any:
    """Returns a language model, the state of whose rows goes on from batch to batch."""
    return tiny.language_model(
        epochs=2, sizes=LanguageModelSizes(embedding=8, units=16, inner_dropout=0, output_dropout=0)
    )


TASKS = {"tagging": tagging, "language": language_model}


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trains each task in two processes; returns the folder of their runs."""
    runs = tmp_path_factory.mktemp("two")
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        addresses = [f"127.0.0.1:{probe.getsockname()[1]}" for probe in probes]
    processes = []
    for index in range(2):
        place = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TAGWERK_RUNS_DIR": str(runs), "TF_CONFIG": json.dumps(place), "PYTHONPATH": "."}
        command = [sys.executable, "-c", WORKER]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    try:
        said = []
        for process in processes:
            output, errors = process.communicate(timeout=240)
            assert process.returncode == 0, errors.decode()[-3000:]
            said.append(output.decode())
        assert said[0].count("epoch 2/2") == len(TASKS)
        assert said[0].count("test") >= len(TASKS)  # measured at the end, by the first alone
        assert said[1] == ""
    finally:
        for process in processes:
            process.kill()
    return runs


@pytest.mark.parametrize("kind", TASKS)
def test_two_workers_learn_what_one_does(
    kind: str, together: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAGWERK_RUNS_DIR", str(tmp_path))
    task = TASKS[kind]()
    train(task, Console(file=io.StringIO()))
    one, two = (weights(task, runs) for runs in (tmp_path, together))
    for alone, shared in zip(one, two, strict=True):
        np.testing.assert_allclose(shared, alone, atol=1e-5)


def weights(task: Any, runs: Path) -> list[np.ndarray[Any, Any]]:
    """Returns what a run has learnt: weights, state of the optimizer, averages."""
    with np.load(Checkpoints(runs, task.recipe).resume) as arrays:
        return [arrays[name] for name in arrays.files if name.isdecimal()]


class Second(Workers):
    """The second of three workers."""

    def __init__(self) -> None:
        super().__init__()
        self.number, self.index = 3, 1


def test_a_worker_takes_its_rows_and_weighs_them() -> None:
    task = tagging()
    examples = task.examples("dev")
    batch = task._with_dropped_words(collate(examples[:5]), np.random.default_rng(0))
    part, share = Second().part(batch, task.weight)
    np.testing.assert_array_equal(part.inputs["lengths"], batch.inputs["lengths"][[1, 4]])
    np.testing.assert_array_equal(part.targets["upos"], batch.targets["upos"][[1, 4]])
    np.testing.assert_array_equal(part.inputs["char_ids"], batch.inputs["char_ids"])  # of all forms, by `forms`
    assert share == pytest.approx((len(examples[1]) + len(examples[4])) / batch.tokens)
    few = collate(examples[:2])
    assert Second().part(few, task.weight) == (few, 1 / 3)
    state = (np.arange(5), np.arange(2))
    mine, all_of_few = Second().rows(state)
    assert (mine.tolist(), all_of_few.tolist()) == ([1, 4], [0, 1])
