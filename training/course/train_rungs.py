"""Trains and measures the rungs of a ladder.

Everything is measured on dev; the test split is reserved for the shipped models.
"""

from collections.abc import Iterable

from rich.console import Console

from training.course.ladders import Ladder, Rung
from training.course.results import Results, Run, pack
from training.data.distillation import DistillationSetMissing
from training.folders import model_store, runs_folder
from training.report.recipe import fingerprint
from training.run.checkpoint import Checkpoints, Progress
from training.run.loop import DEV_LOSS, Diverged, load_best, make_predict, train
from training.run.versions import load_endpoint, newest_version, read_version, restore
from training.tasks.base import Predict, Recipe, Task


def train_rungs(ladder: Ladder, rungs: Iterable[Rung], results: Results, console: Console) -> None:
    """Trains rungs by the rules of their ladder, measures them on dev, and adds each run to the results.

    A run that the results hold already is not repeated, and an interrupted one goes on. A rung without its teacher's
    distillation set is left out, with a message that names the missing command.
    """
    for rung in rungs:
        console.rule(rung.change)
        try:
            _train_rung(ladder, rung, results, console)
        except DistillationSetMissing as error:
            console.print(f"left out: {error}", highlight=False, soft_wrap=True)


def _train_rung(ladder: Ladder, rung: Rung, results: Results, console: Console) -> None:
    if rung.model or not rung.recipe.epochs:
        _run(rung, rung.recipe, results, console)
        return
    tried = [_run(rung, ladder.recipe(rung, 1, rate), results, console) for rate in ladder.rates]
    best = max(tried, key=lambda run: run.rank).learning_rate
    for seed in range(2, ladder.seeds + 1):
        _run(rung, ladder.recipe(rung, seed, best), results, console)


def _run(rung: Rung, recipe: Recipe, results: Results, console: Console) -> Run:
    """Returns one run of a rung, from the results or trained and added to them."""
    folder = newest_version(model_store(), rung.model) if rung.model else None
    settings = f"{rung.model}/{folder.name}" if folder else fingerprint(recipe)
    if found := results.find(rung.name, settings):
        return found
    common = {"rung": rung.name, "settings": settings, "seed": recipe.seed, "learning_rate": recipe.learning_rate}
    if folder:
        _, served = read_version(folder, rung.recipe)
        predict, weights = load_endpoint(folder, served.endpoint_name), restore(served, folder).count_params()
        run = Run(**common, weights=weights, **_measured(served, predict))
    elif not recipe.epochs:
        task = recipe.task()
        model = task.network()
        run = Run(**common, weights=model.count_params(), **_measured(task, make_predict(task, model)))
    else:
        run = _trained(common, recipe.task(), console)
    results.add(run)
    return run


def _trained(common: dict[str, object], task: Task, console: Console) -> Run:
    diverged = False
    try:
        train(task, console)
    except Diverged as error:
        console.print(str(error), highlight=False)
        diverged = True
    progress: Progress = Checkpoints(runs_folder(), task).restore([])
    metric = next((name for epoch in progress.history for name in epoch if name not in ("loss", DEV_LOSS)), "")
    history = {
        "epochs": progress.epochs,
        "seconds": progress.seconds,
        "chosen": progress.best,
        "losses": [epoch["loss"] for epoch in progress.history],
        "dev_losses": [epoch[DEV_LOSS] for epoch in progress.history if DEV_LOSS in epoch],
        "curve": [epoch[metric] for epoch in progress.history],
    }
    weights = task.network().count_params()
    if diverged:
        return Run(**common, **history, weights=weights)
    model = load_best(task)
    return Run(**common, **history, weights=weights, **_measured(task, make_predict(task, model)))


def _measured(task: Task, predict: Predict) -> dict[str, object]:
    metrics = [metric for metric in task.evaluate(predict, "dev") if "," not in metric.name]
    sums, sizes = task.scores(predict, "dev")
    return {
        "metrics": metrics,
        "lower_is_better": task.lower_is_better,
        "samples": task.samples(predict),
        "sums": pack(sums),
        "sizes": pack(sizes),
    }
