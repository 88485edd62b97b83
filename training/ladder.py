"""Trains the rungs of a ladder, one after the other, and shows what each was worth: a table, and a plot of it.

Everything is measured on dev: choices are made there, and the test part is kept for the models that are shipped.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

from rich import box
from rich.console import Console
from rich.table import Table

from service.artifact import Metric
from training import plots
from training.checkpoint import Checkpoints
from training.config import Recipe, Rung, runs_folder
from training.lesson import LessonMissing
from training.loop import best_of_run, make_predict, train
from training.progress import duration
from training.tasks.base import Task


@dataclass(frozen=True)
class Result:
    """What a rung reached.

    Attributes:
        metrics: on the whole of dev, for each seed.
        weights: numbers in the network.
        training_seconds: of all epochs, per seed.
        reading_seconds: that the trained network takes for dev.
        samples: what it says of or after a few texts, with the first seed.
    """

    rung: Rung
    metrics: tuple[tuple[Metric, ...], ...]
    weights: int
    training_seconds: float
    reading_seconds: float
    samples: dict[str, str]

    def values(self, name: str) -> list[float]:
        """Returns a metric, for each seed."""
        return [metric.value for metrics in self.metrics for metric in metrics if metric.name == name]


def climb(
    rungs: Sequence[Rung],
    console: Console,
    *,
    seeds: Sequence[int] = (1,),
    epochs: int | None = None,
    limit: int | None = None,
) -> list[Result]:
    """Trains and measures each rung, the lowest first; goes on where an earlier climb was interrupted.

    A rung whose teacher has not been asked is left out, and what to do about it is said.

    Args:
        seeds: of the runs of each rung.
        epochs: at most, in the place of what the recipes say.
        limit: of the examples that are learnt from.
    """
    results = []
    for rung in rungs:
        console.rule(rung.what)
        try:
            results.append(_measure(rung, console, seeds, epochs, limit))
        except LessonMissing as error:
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
            model = best_of_run(task)
            training.append(_seconds_of_run(task))
        else:  # counted, not learnt
            started = time.monotonic()
            model = task.network()
            training.append(time.monotonic() - started)
        predict = make_predict(task, model)
        metrics = task.evaluate(predict, "dev")
        all_metrics.append(tuple(metric for metric in metrics if "," not in metric.name))
        started = time.monotonic()
        task.evaluate(predict, "dev")  # once more, now that its graph is drawn
        reading.append(time.monotonic() - started)
        samples = samples or task.samples(predict)
    return Result(rung, tuple(all_metrics), model.count_params(), mean(training), mean(reading), samples)


def shortened(recipe: Recipe, seed: int, epochs: int | None, limit: int | None) -> Recipe:
    """Returns a recipe with another seed, fewer epochs and fewer examples; its name says so, and with it its folder."""
    changes = {"seed": seed, "epochs": min(recipe.epochs, epochs or recipe.epochs), "limit": limit or recipe.limit}
    marks = [f"seed{seed}"]
    marks += [f"epochs{epochs}"] if changes["epochs"] != recipe.epochs else []
    marks += [f"limit{limit}"] if limit else []
    return replace(recipe, name="-".join([recipe.name, *marks]), **changes)  # type: ignore[arg-type]


def table(results: Sequence[Result]) -> Table:
    """Returns results as a table for the terminal, which is too narrow for what each rung changes."""
    header, *rows = _rows(results)
    shown = Table(header[0], box=box.SIMPLE)
    for title in header[2:]:
        shown.add_column(title, justify="right")
    for name, _, *figures in rows:
        shown.add_row(name, *figures)
    return shown


def markdown(results: Sequence[Result]) -> str:
    """Returns results as a table for a document."""
    header, *rows = _rows(results)
    rule = ["---", "---", *["---:"] * (len(header) - 2)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def write(results: Sequence[Result], folder: Path, name: str) -> tuple[Path, Path]:
    """Writes the table as `<name>.md` and the plot as `<name>.svg`; returns where."""
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
        rows.append([_short_name(result), result.rung.what, *figures, f"{result.weights:,}", *seconds])
    return rows


def _short_name(result: Result) -> str:
    """Returns the name of a rung without that of its ladder."""
    return result.rung.recipe.name.split("-", 1)[1]


def _spread(values: Sequence[float]) -> str:
    """Returns mean and, of several, standard deviation."""
    return f"{mean(values):#.4g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")


def _seconds_of_run(task: Task) -> float:
    return Checkpoints(runs_folder(), task.recipe).restore([]).seconds
