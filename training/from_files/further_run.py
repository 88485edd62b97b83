"""Trains a task that goes on from a version, exports it, and says what it gained and lost."""

from pathlib import Path

from rich.console import Console

from training.folders import runs_folder
from training.from_files.options import Options
from training.from_files.run import how_it_serves
from training.report import tables
from training.run import readings
from training.run.checkpoint import Checkpoints
from training.run.evaluate import measure
from training.run.export import export
from training.run.loop import load_final, train
from training.tasks.base import ServedTask

SPLITS = ("test", "dev")


def make(task: ServedTask, options: Options, store: Path, console: Console) -> Path:
    """Trains, measures and exports a model that goes on from a version; returns the folder of the new one."""
    Checkpoints(runs_folder(), task).discard_others()
    train(task, console)
    model, predict = load_final(task)
    found = {split: task.predictions(predict, split) for split in SPLITS}
    metrics = [metric for split in SPLITS for metric in measure(task, predict, split, found[split])]
    folder = export(task, model, metrics, store, options.command)
    tables.show_metrics(console, str(folder), metrics)
    readings.record(task.recipe.name, metrics, console)
    console.print(f"written: {folder}, {how_it_serves(store, task.recipe.name)}", highlight=False, soft_wrap=True)
    return folder
