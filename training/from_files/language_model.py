"""Reads a user's text and makes the task of a language model from it."""

from rich.console import Console

from service.errors import quantity
from training.data.corpora import source
from training.data.files import DataFileError, read_text
from training.from_files.budget import Speed, show_budget, training_budget
from training.from_files.options import Options, changed
from training.models.language_model import LanguageModelSizes
from training.tasks.language_modelling import LanguageModelling, LanguageModelRecipe, divide

LEAST_CHARACTERS = 10_000
SIZES = LanguageModelSizes()
QUICK_SIZES = LanguageModelSizes(embedding=48, units=192)
SPEEDS = {SIZES: Speed(trained=6_500, finished=70_000), QUICK_SIZES: Speed(trained=28_000, finished=70_000)}


def read_task(options: Options, console: Console) -> LanguageModelling:
    """Reads the text of `options` and returns the task. Raises DataFileError."""
    path = options.files["train"]
    text = read_text(path)
    if len(text) < LEAST_CHARACTERS:
        raise DataFileError(path, None, quantity(len(text), "character", ","), f"{LEAST_CHARACTERS:,} at least")
    sizes = QUICK_SIZES if options.quick else SIZES
    epochs, limit = training_budget(len(text), len(text), SPEEDS[sizes], least=1, most=12, quick=options.quick)
    recipe = LanguageModelRecipe(
        name=options.name,
        description=f"Continues text in the manner of {path.name}, character by character",
        language=options.language,
        licence=options.licence,
        limits="Invents text in the manner of what it has read: nothing it says is meant to be true or useful.",
        corpus=source(path, "").sha256[:12],
        seed=options.seed,
        epochs=epochs,
        limit=limit,
        batch_tokens=1024,
        chunk=32,
        learning_rate=5e-3,
        clip_norm=1.0,
        averaging=0.998,
        sizes=sizes,
    )
    recipe = changed(recipe, options.changes)
    splits = divide([text], recipe)
    console.print("characters: " + ", ".join(f"{len(some):,} {name}" for name, some in splits.items()), highlight=False)
    show_budget(console, "characters", len(text), len(text), recipe, SPEEDS[sizes])
    return LanguageModelling(recipe, splits, (source(path, options.licence),))
