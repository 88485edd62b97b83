"""Ladders: trains a series of recipes and compares them in a table and a plot.

Everything is measured on dev; the test part is reserved for the shipped models.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

from rich import box
from rich.console import Console
from rich.table import Table

from service.artifact.manifest import Metric
from training.data.distillation import DistillationSetMissing
from training.folders import runs_folder
from training.recipes import Rung
from training.report import plots
from training.report.progress import duration
from training.run.checkpoint import Checkpoints
from training.run.loop import load_best, make_predict, train
from training.tasks.base import Recipe, Task


@dataclass(frozen=True)
class Result:
    """The results of one rung.

    Attributes:
        metrics: on all of dev, for each seed.
        weights: number of parameters of the network.
        training_seconds: of all epochs, mean over the seeds.
        reading_seconds: time of the trained network on dev.
        samples: sample outputs by prompt, of the first seed.
    """

    rung: Rung
    metrics: tuple[tuple[Metric, ...], ...]
    weights: int
    training_seconds: float
    reading_seconds: float
    samples: dict[str, str]

    def values(self, name: str) -> list[float]:
        """Returns the values of a metric, one per seed."""
        return [metric.value for metrics in self.metrics for metric in metrics if metric.name == name]


def train_rungs(
    rungs: Sequence[Rung],
    console: Console,
    *,
    seeds: Sequence[int] = (1,),
    epochs: int | None = None,
    limit: int | None = None,
) -> list[Result]:
    """Trains and measures each rung in order; resumes an interrupted run.

    A rung without its teacher's distillation set is left out, with a message that names the missing command.

    Args:
        seeds: of the runs of each rung.
        epochs: upper bound of the recipes' epochs.
        limit: of the training examples.
    """
    results = []
    for rung in rungs:
        console.rule(rung.change)
        try:
            results.append(_measure(rung, console, seeds, epochs, limit))
        except DistillationSetMissing as error:
            console.print(f"left out: {error}", highlight=False, soft_wrap=True)
            continue
        console.print(table(results[-1:]))
    return results


def _measure(rung: Rung, console: Console, seeds: Sequence[int], epochs: int | None, limit: int | None) -> Result:
    all_metrics, training, reading = [], [], []
    samples: dict[str, str] = {}
    for seed in seeds:
        task = shortened(rung.recipe, seed, epochs, limit).task()
        if task.recipe.epochs:
            train(task, console)
            model = load_best(task)
            training.append(_seconds_of_run(task))
        else:  # counted, not trained
            started = time.monotonic()
            model = task.network()
            training.append(time.monotonic() - started)
        predict = make_predict(task, model)
        metrics = task.evaluate(predict, "dev")
        all_metrics.append(tuple(metric for metric in metrics if "," not in metric.name))
        started = time.monotonic()
        task.evaluate(predict, "dev")  # again, without the time of tracing
        reading.append(time.monotonic() - started)
        samples = samples or task.samples(predict)
    return Result(rung, tuple(all_metrics), model.count_params(), mean(training), mean(reading), samples)


def shortened(recipe: Recipe, seed: int, epochs: int | None, limit: int | None) -> Recipe:
    """Returns a recipe with another seed, fewer epochs and fewer examples, which its name and its folder state."""
    changes = {"seed": seed, "epochs": min(recipe.epochs, epochs or recipe.epochs), "limit": limit or recipe.limit}
    marks = [f"seed{seed}"]
    marks += [f"epochs{epochs}"] if changes["epochs"] != recipe.epochs else []
    marks += [f"limit{limit}"] if limit else []
    return replace(recipe, name="-".join([recipe.name, *marks]), **changes)  # type: ignore[arg-type]


def table(results: Sequence[Result]) -> Table:
    """Returns the results as a table for the terminal, without the column of the changes."""
    header, *rows = _rows(results)
    shown = Table(header[0], box=box.SIMPLE)
    for title in header[2:]:
        shown.add_column(title, justify="right")
    for name, _, *figures in rows:
        shown.add_row(name, *figures)
    return shown


def markdown(results: Sequence[Result]) -> str:
    """Returns the results as a Markdown table."""
    header, *rows = _rows(results)
    rule = ["---", "---", *["---:"] * (len(header) - 2)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def write(results: Sequence[Result], folder: Path, name: str) -> tuple[Path, Path]:
    """Writes the table to `<name>.md` and the plot to `<name>.svg`; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / f"{name}.md"
    text.write_text(markdown(results), encoding="utf-8")
    metric = results[0].metrics[0][0]
    labels = [_short_name(result) for result in results]
    picture = folder / f"{name}.svg"
    plots.save(
        plots.ladder(labels, [result.values(metric.name) for result in results], f"{metric.name}, {metric.unit}, dev"),
        picture,
    )
    return text, picture


def _rows(results: Sequence[Result]) -> list[list[str]]:
    metrics = results[0].metrics[0]
    header = ["rung", "what it changes", *(f"{metric.name}, {metric.unit}" for metric in metrics)]
    rows = [[*header, "weights", "training", "dev read in"]]
    for result in results:
        figures = [_spread(result.values(metric.name)) for metric in metrics]
        seconds = [duration(result.training_seconds), f"{result.reading_seconds:.2f} s"]
        rows.append([_short_name(result), result.rung.change, *figures, f"{result.weights:,}", *seconds])
    return rows


def _short_name(result: Result) -> str:
    """Returns the name of a rung without that of its ladder."""
    return result.rung.recipe.name.split("-", 1)[1]


def _spread(values: Sequence[float]) -> str:
    """Formats the mean and, of several values, the standard deviation."""
    return f"{mean(values):#.4g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")


def _seconds_of_run(task: Task) -> float:
    return Checkpoints(runs_folder(), task.recipe).restore([]).seconds
