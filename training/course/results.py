"""The results of a ladder: a file with a line for each run, and a table and plots made of it."""

import base64
import io
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from pydantic import BaseModel
from rich.table import Table

from service.artifact.manifest import Metric
from training.course import plots
from training.course.ladders import Ladder, Rung
from training.data.dataset import Array
from training.metrics.predictions import resampled
from training.report.recipe import fingerprint
from training.report.tables import new_table


class Run(BaseModel):
    """One run of a rung.

    Attributes:
        settings: what identifies the recipe with its seed and rate, or the version of a shipped model.
        metrics: on all of dev, the one that rungs are compared by first; none of a run that diverged.
        lower_is_better: whether a lower value of the first metric is better.
        weights: number of parameters of the network.
        seconds: of all epochs.
        chosen: the metric that chooses the epoch, at the best one; None of what is not trained.
        losses, dev_losses, curve: the loss on train, that on dev where there are labels, and the first metric on dev,
            after each epoch.
        samples: sample outputs by prompt.
        sums, sizes: `Task.scores`, packed.
    """

    rung: str
    settings: str
    seed: int
    learning_rate: float
    weights: int
    metrics: tuple[Metric, ...] = ()
    lower_is_better: bool = False
    epochs: int = 0
    seconds: float = 0.0
    chosen: float | None = None
    losses: tuple[float, ...] = ()
    dev_losses: tuple[float, ...] = ()
    curve: tuple[float, ...] = ()
    samples: dict[str, str] = {}
    sums: str = ""
    sizes: str = ""

    @property
    def rank(self) -> float:
        """The metric that chooses the epoch, negated where a lower one is better; minus infinity if it diverged."""
        if not self.metrics or self.chosen is None:
            return -math.inf
        return -self.chosen if self.lower_is_better else self.chosen


@dataclass(frozen=True)
class Summary:
    """The runs of a rung with the learning rate that its first seed did best with.

    Attributes:
        runs: one for each seed.
        difference: of the first metric, mean over the seeds, to the rung below, with the 95 % interval of a paired
            bootstrap over the sentences or texts of dev (Koehn 2004); None where one of the two has no metrics.
    """

    rung: Rung
    runs: tuple[Run, ...]
    difference: tuple[float, float, float] | None

    def values(self, name: str) -> list[float]:
        """Returns the values of a metric, one per seed that did not diverge."""
        return [metric.value for run in self.runs for metric in run.metrics if metric.name == name]


class Results:
    """The runs of a ladder, in a file with a line of JSON for each.

    Several processes may add to it: it is read again before a run is looked up.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, rung: str, settings: str) -> Run | None:
        """Returns the run of a rung with the given settings."""
        return next((run for run in self._read() if (run.rung, run.settings) == (rung, settings)), None)

    def add(self, run: Run) -> None:
        """Adds a run to the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(run.model_dump_json(exclude_defaults=True) + "\n")

    def summaries(self, ladder: Ladder) -> list[Summary]:
        """Returns a summary of each rung that has a run, in the order of the ladder."""
        chosen = {rung.name: self._best(ladder, rung) for rung in ladder.rungs}
        return [
            Summary(rung, runs, _difference(chosen[rung.below.name], runs) if rung.below else None)
            for rung in ladder.rungs
            if (runs := chosen[rung.name])
        ]

    def _best(self, ladder: Ladder, rung: Rung) -> tuple[Run, ...]:
        """Returns the runs of a rung by its recipe as it is now, with the best rate of its first seed."""
        runs = [run for run in self._read() if run.rung == rung.name]
        if rung.model:
            return tuple(runs[-1:])  # the newest version
        if not rung.recipe.epochs:
            return tuple(run for run in runs if run.settings == fingerprint(rung.recipe))

        def of_seed(seed: int, rates: Sequence[float]) -> list[Run]:
            wanted = [fingerprint(ladder.recipe(rung, seed, rate)) for rate in rates]
            return [run for run in runs if run.settings in wanted]

        tried = of_seed(1, ladder.rates)
        if not tried:
            return ()
        best = max(tried, key=lambda run: run.rank)
        return best, *(run for seed in range(2, ladder.seeds + 1) for run in of_seed(seed, [best.learning_rate]))

    def _read(self) -> list[Run]:
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return [Run.model_validate_json(line) for line in lines]


def pack(array: Array) -> str:
    """Returns a small array as text, whole numbers in 16 bits."""
    buffer = io.BytesIO()
    whole = np.array_equal(array, np.round(array))
    np.save(buffer, array.astype(np.uint16 if whole else np.float32), allow_pickle=False)
    return base64.b64encode(zlib.compress(buffer.getvalue(), 9)).decode()


def unpack(text: str) -> Array:
    """Returns the array that `pack` was given."""
    array: Array = np.load(io.BytesIO(zlib.decompress(base64.b64decode(text))), allow_pickle=False)
    return array.astype(np.float64)


def _difference(below: Sequence[Run], runs: Sequence[Run]) -> tuple[float, float, float] | None:
    one, other = ([unpack(run.sums) for run in some if run.sums] for some in (below, runs))
    if not one or not other:
        return None
    sizes = unpack(next(run.sizes for run in runs if run.sizes))
    sums = np.mean(other, axis=0) - np.mean(one, axis=0)
    return float(sums.sum() / sizes.sum()), *resampled(sums, sizes)


def table(summaries: Sequence[Summary]) -> Table:
    """Returns the results as a table for a terminal: the first metric alone, without the changes."""
    header, *rows = _rows(summaries)
    places = [i for i, title in enumerate(header) if i == 2 or title in ("against", "rate", "minutes")]
    shown = new_table("", header[0], right=[header[i] for i in places])
    for row in rows:
        shown.add_row(row[0], *(row[i] for i in places))
    return shown


def markdown(summaries: Sequence[Summary]) -> str:
    """Returns the results as a Markdown table."""
    header, *rows = _rows(summaries)
    rule = ["---", "---", *["---:"] * (len(header) - 2)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def write(summaries: Sequence[Summary], folder: Path, name: str) -> list[Path]:
    """Writes the table to `<name>.md`, a plot of the rungs to `<name>.svg`, and one of their epochs beside it."""
    text, picture, curves = (folder / f"{name}{suffix}" for suffix in (".md", ".svg", "-epochs.svg"))
    text.write_text(markdown(summaries), encoding="utf-8")
    measured = [summary for summary in summaries if summary.runs[0].metrics]
    if not measured:
        return [text]
    metric = measured[0].runs[0].metrics[0]
    measure = f"{metric.name}, {metric.unit}, dev"
    names = [summary.rung.name for summary in measured]
    plots.save(plots.ladder(names, [summary.values(metric.name) for summary in measured], measure), picture)
    trained = {summary.rung.name: summary.runs[0] for summary in summaries if summary.runs[0].losses}
    if not trained:
        return [text, picture]
    lines = {name: (run.losses, run.dev_losses, run.curve) for name, run in trained.items()}
    plots.save(plots.epochs(lines, measure), curves)
    return [text, picture, curves]


def _rows(summaries: Sequence[Summary]) -> list[list[str]]:
    measured = [run.metrics for run in (summary.runs[0] for summary in summaries) if run.metrics]
    metrics = min(measured, key=len, default=())  # a shipped model may have more than the rungs
    titles = [f"{metric.name}, {metric.unit}" for metric in metrics]
    rows = [["rung", "what it changes", *titles[:1], "against", *titles[1:], "rate", "epochs", "weights", "minutes"]]
    for summary in summaries:
        figures = [_spread(summary.values(metric.name)) for metric in metrics]
        runs = summary.runs
        trained = runs[0].epochs > 0 or not runs[0].metrics
        rows.append(
            [
                summary.rung.name,
                summary.rung.change,
                *figures[:1],
                _against(summary),
                *figures[1:],
                f"{runs[0].learning_rate:g}" if trained else "",
                f"{mean(run.epochs for run in runs):.0f}" if trained else "",
                f"{runs[0].weights:,}",
                f"{mean(run.seconds for run in runs) / 60:.1f}" if trained else "",
            ]
        )
    return rows


def _spread(values: Sequence[float]) -> str:
    """Formats the mean and, of several values, the standard deviation."""
    if not values:
        return "diverged"
    middle = f"{mean(values):#.4g}".removesuffix(".")
    if len(values) == 1:
        return middle
    return f"{middle} ± {np.format_float_positional(stdev(values), 2, unique=False, fractional=False, trim='-')}"


def _against(summary: Summary) -> str:
    """Formats the difference to the rung below, with its interval."""
    if summary.difference is None or summary.rung.below is None:
        return ""
    digits = 3 if summary.runs[0].lower_is_better else 2
    mean, low, high = (f"{value:+.{digits}f}" for value in summary.difference)
    return f"{summary.rung.below.name}: {mean} ({low} to {high})"
