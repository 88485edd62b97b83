"""The commands of tagwerk-train: what each runs, in which order."""

import argparse
import os
from dataclasses import replace

from service.errors import ConfigurationError
from training.folders import model_store, runs_folder
from training.from_files import command as from_files
from training.recipes import load_any_recipe, load_ladder, load_recipe

# Keras and TensorFlow take seconds to import: each command imports what it needs, and --help needs nothing.


def fetch(arguments: argparse.Namespace) -> None:
    """Downloads corpora, or finds them in TAGWERK_DATA_DIR."""
    from training.data import corpora
    from training.data.catalogue import CORPORA

    corpora.fetch(arguments.corpus or CORPORA)


def show(arguments: argparse.Namespace) -> None:
    """Prints all settings of a recipe, or of a rung of a ladder such as tagging/lstm, and its network."""
    import_tensorflow()

    from rich.console import Console

    from training.data.distillation import DistillationSetMissing
    from training.report.recipe import show

    recipe, note = load_any_recipe(arguments.recipe), ""
    try:
        task = recipe.task()
    except DistillationSetMissing:
        task, note = replace(recipe, teacher=None).task(), ", with the words of the corpus alone: no teacher has run"
    show(task, Console(), note)


def teach(arguments: argparse.Namespace) -> None:
    """Fine-tunes large teachers on a recipe's corpus and writes the distillation set that the recipe learns from."""
    import_tensorflow()
    recipe = load_recipe(arguments.recipe)
    if arguments.teacher and recipe.teaching:
        recipe = replace(recipe, teaching=replace(recipe.teaching, encoder=arguments.teacher))

    from rich.console import Console

    from training.teachers import teach

    console = Console()
    path = teach(replace(recipe, teacher=None).task(), console).write(recipe.name)
    console.print(f"written: {path}", highlight=False, soft_wrap=True)


def train(arguments: argparse.Namespace) -> None:
    """Trains a model of files, or of a recipe; measures it once on the test split; exports it if it is shipped."""
    import_tensorflow()
    if arguments.recipe in from_files.KINDS:
        from_files.train(arguments)
        return
    recipe = load_recipe(arguments.recipe)

    from rich.console import Console

    from training.run.loop import set_threads, train
    from training.run.workers import workers

    set_threads(recipe.threads)
    first = workers().first
    task = recipe.task()
    train(task, Console(quiet=not first))
    if not first:
        return
    if recipe.shipped:
        export(arguments)
        return

    from training.run import readings
    from training.run.evaluate import show
    from training.run.loop import load_best, make_predict

    console = Console()
    metrics = task.evaluate(make_predict(task, load_best(task)), "test")
    show(console, recipe.name, metrics)
    readings.record(recipe.name, metrics, console)


def evaluate(arguments: argparse.Namespace) -> None:
    """Measures exported models: on their own dev or test split, or one or two of them on a file."""
    import_tensorflow()

    from rich.console import Console

    if arguments.data:
        from training.from_files.evaluation import evaluate_on_file

        columns = arguments.text_column, arguments.label_column, arguments.group_column
        evaluate_on_file(model_store(), arguments.name, arguments.data, columns, Console())
        return

    from training.run.evaluate import evaluate

    for name in arguments.name:
        out = runs_folder() / name / "evaluation"
        evaluate(model_store(), name, arguments.split, Console(), out, arguments.bits)


def baseline(arguments: argparse.Namespace) -> None:
    """Trains simple models on the corpus of a recipe, and measures them on its dev or test split."""
    import_tensorflow()

    from rich.console import Console

    from training.run import baselines

    recipe = load_recipe(arguments.recipe)
    baselines.evaluate(replace(recipe, teacher=None).task(), arguments.split, Console())


def export(arguments: argparse.Namespace) -> None:
    """Exports the best epoch of a recipe's run as the next version of its model."""
    import_tensorflow()
    recipe = load_recipe(arguments.recipe)

    from rich.console import Console

    from training.run import readings
    from training.run.evaluate import calibration, show
    from training.run.export import export, served_kind
    from training.run.loop import load_final

    console = Console()
    task = recipe.task()
    served_kind(task)  # else a test split would be read for nothing
    model, predict = load_final(task)
    task.learn_segmenter()
    metrics = [
        metric
        for split in ("test", "dev")
        for metric in (
            *task.evaluate(predict, split),
            *task.evaluate_text(predict, split),
            *calibration(task.predictions(predict, split), split),
        )
    ]
    folder = export(task, model, metrics, model_store())
    show(console, str(folder), metrics)
    readings.record(recipe.name, metrics, console)


def export_again(arguments: argparse.Namespace) -> None:
    """Exports the newest version of a model again with the present exporter, without training."""
    import_tensorflow()

    from rich.console import Console

    from training.run import readings
    from training.run.evaluate import calibration
    from training.run.export import export_again
    from training.run.loop import make_predict, round_weights
    from training.run.versions import newest_version, read_version, restore

    folder = newest_version(model_store(), arguments.name)
    _, task = read_version(folder)
    task.learn_segmenter()
    model = restore(task, folder)
    round_weights(task, model)
    predict = make_predict(task, model)
    measured = [
        metric
        for split in ("test", "dev")
        for metric in (
            *task.evaluate(predict, split),
            *task.evaluate_text(predict, split),
            *calibration(task.predictions(predict, split), split),
        )
    ]
    print(f"written: {export_again(task, model, folder, measured)}")
    readings.record(arguments.name, measured, Console())


def ladder(arguments: argparse.Namespace) -> None:
    """Trains the recipes of a ladder and compares them on dev in a table and a plot."""
    import_tensorflow()

    from rich.console import Console

    from training.report.ladder import Results, table, write
    from training.run.ladder import train_rungs
    from training.run.loop import set_threads

    ladder = load_ladder(arguments.name)
    if arguments.seeds:
        ladder = replace(ladder, seeds=arguments.seeds)
    ladder = ladder.shortened(arguments.epochs, arguments.limit)
    set_threads(ladder.rungs[0].recipe.threads)
    console = Console()
    name = arguments.name + ladder.mark
    results = Results(arguments.out / f"{name}.jsonl")
    train_rungs(ladder, [ladder.rung(name) for name in arguments.rung] or ladder.rungs, results, console)
    summaries = results.summaries(ladder)
    if not summaries:
        return
    console.print(table(summaries))
    for summary in summaries:
        for prompt, sample in summary.runs[0].samples.items():
            console.print(f"{summary.rung.name}, {prompt!r}: {sample}", highlight=False, markup=False)
    for path in write(summaries, arguments.out, name):
        console.print(f"written: {path}", highlight=False, soft_wrap=True)


def attention(arguments: argparse.Namespace) -> None:
    """Plots the attention weights of a translator or captioner that was trained here."""
    import_tensorflow()

    from training.report import attention, captioning
    from training.run.loop import load_best
    from training.tasks.captioning import Captioning

    task = load_recipe(arguments.name).task()
    model = load_best(task)
    if isinstance(task, Captioning):
        path = captioning.draw(task, model, arguments.out)
    elif arguments.text:
        path = attention.draw(task, model, arguments.text, arguments.out)
    else:
        raise ConfigurationError(f"{arguments.name} needs a text: tagwerk-train attention {arguments.name} TEXT …")
    print(f"written: {path}")


def segmentation(arguments: argparse.Namespace) -> None:
    """Measures accuracy and speed of the tokenizer on EWT's raw text, by rules and as tagger-en has learned."""
    import_tensorflow()

    from service.artifact.manifest import read_manifest, read_segmenter
    from training.metrics.segmentation import report
    from training.run.versions import newest_version

    folder = newest_version(model_store(), "tagger-en")
    report(read_segmenter(folder, read_manifest(folder)))


def import_tensorflow() -> None:
    """Imports TensorFlow without the messages that it prints to stderr whatever its log level."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are raised as exceptions as well
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 (a device, not a path)
        os.dup2(nowhere.fileno(), 2)
    try:
        import tensorflow as tf
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    tf.get_logger().setLevel("ERROR")
