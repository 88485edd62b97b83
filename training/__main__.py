"""tagwerk-train: fetches the corpora, trains, evaluates and exports the models."""

import argparse
import errno
import os
import sys
from pathlib import Path

from service.errors import ConfigurationError, TagwerkError
from training.config import ladder_names, load_ladder, load_recipe, model_store, recipe_names, runs_folder

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INTERRUPTED = 130  # the exit status of a command that SIGINT ended

# Keras and TensorFlow take seconds to import: each command imports what it needs, and --help needs nothing.


def fetch(arguments: argparse.Namespace) -> None:
    """Downloads corpora, or finds them in TAGWERK_DATA_DIR."""
    from training import corpora

    corpora.fetch(arguments.corpus or corpora.CORPORA)


def teach(arguments: argparse.Namespace) -> None:
    """Tunes a large teacher to the corpus of a recipe, and has it answer for text that the recipe learns from, too."""
    import_tensorflow()
    recipe = load_recipe(arguments.recipe)

    from rich.console import Console

    try:
        from training.teachers import teach
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error.name} is not installed: pip install -e '.[teach]'") from error

    console = Console()
    path = teach(recipe, console).write(recipe.name)
    console.print(f"written: {path}", highlight=False, soft_wrap=True)


def train(arguments: argparse.Namespace) -> None:
    """Trains a recipe, or goes on where it was interrupted; measures it on test once; exports what is to be shipped."""
    import_tensorflow()
    recipe = load_recipe(arguments.recipe)

    from rich.console import Console

    from training.loop import set_threads, train
    from training.workers import workers

    set_threads(recipe.threads)
    team = workers()
    task = recipe.task()
    train(task, Console(quiet=not team.first))
    if not team.first:
        return
    if recipe.shipped:
        export(arguments)
        return

    from training.evaluate import show
    from training.loop import best_of_run, make_predict

    show(Console(), recipe.name, task.evaluate(make_predict(task, best_of_run(task)), "test"))


def evaluate(arguments: argparse.Namespace) -> None:
    """Measures the newest exported version of a model: the field's metrics, label by label, how sure it may be."""
    import_tensorflow()

    from rich.console import Console

    from training.evaluate import evaluate

    out = runs_folder() / arguments.name / "evaluation"
    evaluate(model_store(), arguments.name, arguments.split, Console(), out)


def export(arguments: argparse.Namespace) -> None:
    """Exports the best epoch of a recipe's run as the next version of its model."""
    import_tensorflow()
    recipe = load_recipe(arguments.recipe)

    from rich.console import Console

    from training.evaluate import calibration, show
    from training.export import export
    from training.loop import best_of_run, make_predict

    console = Console()
    task = recipe.task()
    model = best_of_run(task)
    task.compact(model)
    predict = make_predict(task, model)
    task.calibrate(model, predict)
    metrics = [
        metric
        for split in ("test", "dev")
        for metric in (
            *task.evaluate(predict, split),
            *task.evaluate_text(predict, split),
            *calibration(task.answers(predict, split), split),
        )
    ]
    folder = export(task, model, metrics, model_store())
    show(console, str(folder), metrics)


def ladder(arguments: argparse.Namespace) -> None:
    """Trains the rungs of a ladder and compares them on dev: a table and a plot."""
    import_tensorflow()

    from rich.console import Console

    from training import ladder
    from training.loop import set_threads

    rungs = load_ladder(arguments.name)
    set_threads(rungs[0].recipe.threads)
    console = Console()
    results = ladder.climb(rungs, console, seeds=arguments.seeds, epochs=arguments.epochs, limit=arguments.limit)
    console.print(ladder.table(results))
    for result in results:
        for prompt, said in result.samples.items():
            console.print(f"{result.rung.recipe.name}, {prompt!r}: {said}", highlight=False, markup=False)
    for path in ladder.write(results, arguments.out, arguments.name):
        console.print(f"written: {path}", highlight=False, soft_wrap=True)


def attention(arguments: argparse.Namespace) -> None:
    """Draws what a lemmatizer looks at when it spells the lemmas of a few words."""
    import_tensorflow()

    from training.attention import draw

    print(f"written: {draw(model_store(), arguments.name, arguments.word, arguments.out)}")


def segmentation(arguments: argparse.Namespace) -> None:
    """Measures how well and how fast the service's tokenizer cuts EWT's raw text."""
    from training.segmentation import report

    report()


def import_tensorflow() -> None:
    """Imports TensorFlow without what it says of itself on stderr, which its log level does not govern."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what goes wrong is raised, too
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 (a device, not a path)
        os.dup2(nowhere.fileno(), 2)
    try:
        import tensorflow as tf
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    tf.get_logger().setLevel("ERROR")


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="tagwerk-train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run in (fetch, teach, train, evaluate, export, ladder, attention, segmentation):
        about = run.__doc__ or ""
        command = commands.add_parser(run.__name__, help=about, description=about)
        command.set_defaults(run=run)
        if run is fetch:
            command.add_argument("corpus", nargs="*", metavar="CORPUS", help="all of them if none is named")
        elif run is evaluate:
            command.add_argument("name", metavar="NAME", help="of a model in the store")
            command.add_argument("--split", choices=("dev", "test"), default="test", help="test by default")
        elif run is ladder:
            names = ladder_names()
            command.add_argument("name", metavar="NAME", choices=names, help=", ".join(names))
            command.add_argument("--seeds", type=_seeds, default=(1,), help="such as 1,2,3; 1 by default")
            command.add_argument("--epochs", type=_positive, help="at most, for a short look")
            command.add_argument("--limit", type=_positive, help="learn from so many examples alone, for a short look")
            folder = runs_folder() / "ladders"
            command.add_argument("--out", type=Path, default=folder, help=f"folder of the table and the plot; {folder}")
        elif run is attention:
            command.add_argument("name", metavar="NAME", help="of a lemmatizer in the store")
            command.add_argument("word", nargs="+", metavar="WORD", help="with its tags: women/NOUN/NNS/Number=Plur")
            command.add_argument("--out", type=Path, default=Path("attention.png"), help="attention.png by default")
        elif run is not segmentation:
            command.add_argument("recipe", metavar="RECIPE", choices=recipe_names(), help=", ".join(recipe_names()))
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seeds(text: str) -> tuple[int, ...]:
    return tuple(_positive(seed) for seed in text.split(","))


def main() -> int:
    """Runs the command line; returns the exit status."""
    arguments = parser().parse_args()
    try:
        arguments.run(arguments)
    except TagwerkError as error:
        print(f"tagwerk-train: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        print(f"tagwerk-train: {error.filename or 'a file'} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntagwerk-train: interrupted; the same command goes on where it was", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
