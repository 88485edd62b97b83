"""The commands of tagwerk-train: what each runs, in which order."""

import argparse
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from service.errors import ConfigurationError
from training.course import load_ladder, load_recipe
from training.folders import model_store
from training.from_files import command as from_files

if TYPE_CHECKING:
    from service.artifact.manifest import Metric
    from training.tasks.base import Predict, ServedTask

# Keras and TensorFlow take seconds to import: each command imports what it needs, and --help needs nothing.


def fetch(arguments: argparse.Namespace) -> None:
    """Downloads corpora, or finds them in TAGWERK_DATA_DIR."""
    from training.data import corpora
    from training.data.catalogue import CORPORA

    corpora.fetch(arguments.corpus or CORPORA)


def show(arguments: argparse.Namespace) -> None:
    """Prints all settings of a recipe, or of a rung of a ladder such as tagging/lstm, and its network."""
    from rich.console import Console

    from training.data.distillation import DistillationSetMissing
    from training.report.recipe import show

    recipe, note = load_recipe(arguments.recipe), ""
    try:
        task = recipe.task()
    except DistillationSetMissing:
        task, note = replace(recipe, teacher=None).task(), ", with the words of the corpus alone: no teacher has run"
    show(task, Console(), note)


def teach(arguments: argparse.Namespace) -> None:
    """Fine-tunes large teachers on a recipe's corpus and writes the distillation set that the recipe learns from."""
    recipe = load_recipe(arguments.recipe)
    if arguments.teacher and recipe.teaching:
        recipe = replace(recipe, teaching=replace(recipe.teaching, encoder=arguments.teacher))
    if arguments.alone and recipe.teaching:
        recipe = replace(recipe, teaching=replace(recipe.teaching, together=()))

    from rich.console import Console

    from training.teachers.teach import teach

    console = Console()
    path = teach(replace(recipe, teacher=None).task(), console).write(recipe.name)
    console.print(f"written: {path}", highlight=False, soft_wrap=True)


def train(arguments: argparse.Namespace) -> None:
    """Trains a model of files, or of a recipe; measures it once on the test split; exports it if it is shipped."""
    if arguments.recipe in from_files.KINDS:
        from_files.train(arguments)
        return

    from rich.console import Console

    from training.report.tables import show_metrics
    from training.run import readings
    from training.run.loop import load_best, make_predict, set_threads, train

    recipe, console = load_recipe(arguments.recipe), Console()
    set_threads(recipe.threads)
    task = recipe.task()
    train(task, console)
    if recipe.shipped:
        export(arguments)
        return
    predict = make_predict(task, load_best(task))
    metrics = task.evaluate(predict, "test")
    show_metrics(console, recipe.name, metrics)
    for prompt, sample in task.samples(predict).items():
        console.print(f"{prompt!r}: {sample}", highlight=False, markup=False)
    readings.record(recipe.name, metrics, console)


def evaluate(arguments: argparse.Namespace) -> None:
    """Measures exported models: on their own dev or test split, or one or two of them on a file."""
    from rich.console import Console

    if arguments.data:
        from training.from_files.evaluation import evaluate_on_file

        columns = arguments.text_column, arguments.label_column, arguments.group_column
        evaluate_on_file(model_store(), arguments.name, arguments.data, columns, Console())
        return

    from training.run.evaluate import evaluate

    for name in arguments.name:
        evaluate(model_store(), name, arguments.split, Console(), arguments.bits, arguments.written)


def baseline(arguments: argparse.Namespace) -> None:
    """Trains simple models on the corpus of a recipe, and measures them on its dev or test split."""
    from rich.console import Console

    from training.run import baselines

    recipe = load_recipe(arguments.recipe)
    baselines.evaluate(replace(recipe, teacher=None).task(), arguments.split, Console())


def export(arguments: argparse.Namespace) -> None:
    """Exports the best epoch of a recipe's run as the next version of its model."""
    from rich.console import Console

    from training.report.tables import show_metrics
    from training.run import readings
    from training.run.export import export
    from training.run.loop import load_final
    from training.tasks.base import ServedTask
    from training.tasks.tagging import Tagging

    recipe, console = load_recipe(arguments.recipe), Console()
    task = recipe.task()
    if not isinstance(task, ServedTask):
        raise ConfigurationError(f"{recipe.name} is measured and not exported: the service has no such task")
    model, predict = load_final(task)
    task.learn_segmenter()
    if isinstance(task, Tagging):
        task.learn_exceptions(predict)
        task.learn_lemma_weights(predict)
    metrics = _measured(task, predict)
    folder = export(task, model, metrics, model_store())
    show_metrics(console, str(folder), metrics)
    readings.record(recipe.name, metrics, console)


def export_again(arguments: argparse.Namespace) -> None:
    """Exports the newest version of a model again with the present exporter, without training.

    Lemmas and tokenizer of a tagger that was made of files are learned of these: run it where its command was run.
    Without them none of the files is needed. What keeps its precision is not measured again.
    """
    from rich.console import Console

    from service.artifact import manifest as artifact
    from training.from_files.made_again import task_of_files, task_of_version
    from training.recipes import recipe_names
    from training.run import readings
    from training.run.export import export_again, export_copy, precision_of
    from training.run.loop import make_predict, round_weights, set_threads
    from training.run.versions import load_endpoint, newest_version, read_version, recipe_as_made, restore
    from training.tasks.tagging import Tagging

    set_threads(1)  # the graph has it
    folder = newest_version(model_store(), arguments.name)
    manifest = artifact.read_manifest(folder)
    of_files = manifest.recipe not in recipe_names()
    if of_files and manifest.task == "tag":
        if arguments.lemmas or arguments.tokenizer:
            task: ServedTask = task_of_files(model_store(), arguments.name, Console())
        else:
            task = task_of_version(model_store(), arguments.name)
    else:
        _, task = read_version(folder)
        task.recipe = recipe_as_made(task.recipe, folder)
    if arguments.lemmas or arguments.tokenizer:
        if not isinstance(task, Tagging) or (arguments.lemmas and not task.lemmatizer):
            given, lacks = ("--lemmas", "gives no lemmas") if arguments.lemmas else ("--tokenizer", "tags no words")
            raise ConfigurationError(f"{given}: {arguments.name} {lacks}; right: a tagger that does")
        predict = load_endpoint(folder, task.endpoint_name)
        if arguments.lemmas:
            task.learn_exceptions(predict)
            task.learn_lemma_weights(predict)
        if arguments.tokenizer:
            # Of all that it learns from; the task of a recipe is only measured.
            learned = task if of_files else replace(task.recipe, teacher=None).task()
            learned.learn_segmenter()
            task.segmenter = learned.segmenter
        metrics = _measured(task, predict)
        print(f"written: {export_copy(task, folder, metrics)}")
        readings.record(arguments.name, metrics, Console())
        return
    model = restore(task, folder)
    round_weights(task, model)
    metrics = [] if precision_of(model) == manifest.precision else _measured(task, make_predict(task, model))
    print(f"written: {export_again(task, model, folder, metrics)}")
    if metrics:
        readings.record(arguments.name, metrics, Console())


def _measured(task: "ServedTask", predict: "Predict") -> list["Metric"]:
    """Returns all metrics of test and dev."""
    from training.run.evaluate import measure

    found = {split: task.predictions(predict, split) for split in ("test", "dev")}
    return [metric for split in found for metric in measure(task, predict, split, found[split])]


def ladder(arguments: argparse.Namespace) -> None:
    """Trains the recipes of a ladder and compares them on dev in a table and a plot."""
    from rich.console import Console

    from training.course.results import Results, table, write
    from training.course.train_rungs import train_rungs
    from training.run.loop import set_threads

    name, out, ladder, console = arguments.name, arguments.out, load_ladder(arguments.name), Console()
    if arguments.seeds:
        ladder = replace(ladder, seeds=arguments.seeds)
    set_threads(ladder.rungs[0].recipe.threads)
    results = Results(out / f"{name}.jsonl")
    train_rungs(ladder, [ladder.rung(rung) for rung in arguments.rung] or ladder.rungs, results, console)
    summaries = results.summaries(ladder)
    if not summaries:
        return
    console.print(table(summaries))
    for summary in summaries:
        for prompt, sample in summary.runs[0].samples.items():
            console.print(f"{summary.rung.name}, {prompt!r}: {sample}", highlight=False, markup=False)
    for path in write(summaries, out, name):
        console.print(f"written: {path}", highlight=False, soft_wrap=True)


def attention(arguments: argparse.Namespace) -> None:
    """Plots the attention weights of a translator or captioner that was trained here."""
    from training.course.attention import draw_captions, draw_translations
    from training.course.tasks.captioning import Captioning
    from training.course.tasks.translation import Translation
    from training.run.loop import load_best

    name, task = arguments.name, load_recipe(arguments.name).task()
    if isinstance(task, Captioning):
        draw_captions(task, load_best(task), arguments.out)
    elif not isinstance(task, Translation):
        raise ConfigurationError(f"{name} has no decoder with attention")
    elif not arguments.text:
        raise ConfigurationError(f"{name} needs a text: tagwerk-train attention {name} TEXT …")
    else:
        draw_translations(task, load_best(task), arguments.text, arguments.out)
    print(f"written: {arguments.out}")


def gradients(arguments: argparse.Namespace) -> None:
    """Measures how large gradients are over time in language models of ladders, trains them if need be, plots it."""
    from rich.console import Console

    from training.course.gradients import measure
    from training.run.loop import set_threads

    set_threads(1)
    measure(arguments.rung, arguments.out, Console())
    print(f"written: {arguments.out}")


def segmentation(arguments: argparse.Namespace) -> None:
    """Measures the tokenizer on EWT's raw text, by rules and as tagger-en has learned."""
    from service.artifact.manifest import read_manifest, read_segmenter
    from training.metrics.segmentation import report
    from training.run.versions import newest_version

    folder = newest_version(model_store(), "tagger-en")
    report(read_segmenter(folder, read_manifest(folder)))


def language(arguments: argparse.Namespace) -> None:
    """Trains the model that identifies the language of a text, measures it, and writes it into the package."""
    from rich.console import Console

    from training.metrics.languages import compare
    from training.models.languages import train

    (compare if arguments.compare else train)(Console(width=160))


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
