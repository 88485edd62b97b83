"""Reads a user's treebank and makes the task of a tagger from it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from service.artifact.manifest import DataSource
from service.errors import ConfigurationError, quantity
from service.text.languages import tokenizer_name
from training.data import lexicon, treebank
from training.data.corpora import source
from training.data.files import DataFileError, read_text
from training.data.lexicon import Lexicon
from training.data.related import Convention
from training.data.splits import HoldOut, by_document, sample
from training.data.treebank import NOTHING, UNLABELLED, Tree
from training.from_files.budget import Speed, show_budget, training_budget
from training.from_files.options import Options, changed
from training.from_files.splits import divided
from training.models.segmenter import SENTENCES, TOKENS
from training.models.tagger import MOST_SCORED, TaggerSizes
from training.tasks.recipe import TeacherSettings
from training.tasks.tagging import HEADS, Tagging, TaggingRecipe

LEAST_SENTENCES = 30
MOST_TAGS = 1000
SMALL = 200_000  # words of a treebank whose words are all in the vocabulary
SIZES = TaggerSizes(
    word_embedding=100,
    character_embedding=32,
    character_units=50,
    affix_embedding=24,
    linear=True,
    units=200,
    input_dropout=0.33,
    output_dropout=0.5,
)
QUICK_SIZES = TaggerSizes(  # without the linear model, which has most of the weights and needs more epochs
    word_embedding=64,
    character_embedding=24,
    character_units=24,
    affix_embedding=16,
    units=96,
    input_dropout=0.25,
    output_dropout=0.33,
)
FINISHED, TRAINED_QUICKLY = 1400, 4000  # tokens per second, see `Speed`
TAUGHT_SIZES = replace(SIZES, input_dropout=0.25, output_dropout=0.4)
TAUGHT_SETTINGS: dict[str, Any] = {  # of a tagger that learns from a teacher, whose text has many more words
    "learning_rate": 2.5e-3,
    "averaging": 0.999,
    "word_count": 2,
    "word_dropout": 1.0,
    "label_smoothing": 0.0,
    "restyled": 0.3,
}
TAUGHT = 500_000  # words of the treebank that a teacher reads in all of its epochs, about
MOST_UNLABELLED = 1_000_000  # words that a teacher labels
DISTILLED = 450_000  # of them, at most, that a tagger reads in an epoch
# To train on a token, and besides for each tag that the linear model scores.
TOKEN_SECONDS, LABEL_SECONDS = 3.2e-4, 1e-5


class Files(NamedTuple):
    """What a tagger is made of, and where it is from. Related treebanks are part of train."""

    splits: dict[str, list[Tree]]
    lexicon: Lexicon | None
    sources: tuple[DataSource, ...]


def read_files(options: Options, console: Console) -> Files:
    """Reads the treebanks of `options`, and the lexicon. Raises DataFileError."""
    hold_out: HoldOut[Tree] = by_document(lambda tree: tree.document)
    splits = divided(options, _read(options), hold_out, lambda tree: tree.forms, "sentence", console)
    words = _read_lexicon(options, splits["train"], console)
    files = [*options.files.values(), *options.related]
    splits["train"] += _read_related(options, splits, console)
    sources = [source(path, options.licence) for path in files] + ([words.source] if words else [])
    return Files(splits, words, tuple(sources))


def read_task(options: Options, console: Console) -> Tagging:
    """Reads the files of `options` and returns the task. Raises DataFileError."""
    splits, words, sources = read_files(options, console)
    read = [*sources, *([source(options.unlabelled, options.licence)] if options.unlabelled else [])]
    recipe = _recipe(options, splits["train"], read, console)
    splits["train"] = sample(splits["train"], recipe.limit, options.seed)
    task = Tagging(recipe, splits, sources, lexicon=words)
    return _taught(task, options, splits, words, console) if options.teacher else task


def _taught(
    task: Tagging, options: Options, splits: dict[str, list[Tree]], words: Lexicon | None, console: Console
) -> Tagging:
    """Teaches a teacher the task and labels the unlabelled text; returns the task of learning from that as well."""
    from training.teachers import unlabelled  # imports PyTorch
    from training.teachers.teach import teach

    assert options.unlabelled  # noqa: S101 (the options have both or none)
    task.learn_segmenter()
    text = unlabelled.of_file(
        options.unlabelled, options.licence, task.text_tokenizer(), MOST_UNLABELLED, task.recipe.seed
    )
    count = sum(map(len, text.sentences))
    sentences = quantity(len(text.sentences), "sentence", ",")
    console.print(f"unlabelled: {count:,} words in {sentences}", highlight=False)
    teach(task, console, text).write(task.recipe.name)
    taught = Tagging(replace(task.recipe, teacher=task.recipe.name), splits, task.data, lexicon=words)
    taught.segmenter = task.segmenter
    return taught


def _read(options: Options) -> dict[str, list[Tree]]:
    found = {}
    for split, path in options.files.items():
        trees = found[split] = list(treebank.read(read_text(path), path))
        if len(trees) < (LEAST_SENTENCES if split == "train" else 1):
            right = f"{LEAST_SENTENCES} at least, each followed by a blank line"
            raise DataFileError(path, None, quantity(len(trees), "sentence"), right)
        tags = {column: len(treebank.tags(trees, column)) for column in ("upos", "xpos")}
        if split == "train" and max(tags.values()) < 2:
            raise DataFileError(path, None, "all words have the same UPOS and XPOS", "a treebank with tags")
        if max(tags.values()) > MOST_TAGS:
            raise DataFileError(path, None, f"{max(tags.values()):,} tags in a column", f"{MOST_TAGS:,} at most")
    return found


def _read_related(options: Options, splits: Mapping[str, Sequence[Tree]], console: Console) -> list[Tree]:
    """Reads the other treebanks of `options`; returns what is learned, and prints the share of words that keep a tag.

    Raises DataFileError where that is none.
    """
    known, convention = {tree.forms for trees in splits.values() for tree in trees}, Convention(splits["train"])
    found = []
    for path in options.related:
        others = [tree for tree in treebank.read(read_text(path), path) if tree.forms not in known]
        learned = convention.compatible(others)
        tagged = [{word.upos, word.xpos} - {UNLABELLED, NOTHING} != set() for tree in learned for word in tree.words]
        if not any(tagged):
            right = "another treebank of the language, whose tags are of the same kind"
            raise DataFileError(path, None, "no word has a tag that the data could have", right)
        sentences, share = quantity(len(learned), "sentence", ","), sum(tagged) / len(tagged)
        console.print(f"{path.name}: {sentences}, {share:.1%} of the words agree with the data", highlight=False)
        found += learned
    return found


def _read_lexicon(options: Options, train: Sequence[Tree], console: Console) -> Lexicon | None:
    """Reads the lexicon of `options`, if any; prints the share of the words of train that it has.

    Raises DataFileError, or ConfigurationError where it has none.
    """
    if not options.lexicon:
        return None
    by_name = options.lexicon == lexicon.SPACY
    found = lexicon.of_spacy(options.language) if by_name else lexicon.read(Path(options.lexicon), options.licence)
    words = {form.lower() for tree in train for form in tree.forms}
    share = len(words & found.kinds.keys()) / len(words)
    if not share:
        fault = f"has no word of {options.files['train']}"
        raise ConfigurationError(f"--lexicon {options.lexicon}: {fault}; right: a lexicon of its language")
    known = quantity(len(found.kinds), "word", ",")
    console.print(f"lexicon: {known}, {share:.0%} of the different words of train", highlight=False)
    return found


def _recipe(options: Options, train: Sequence[Tree], sources: Sequence[DataSource], console: Console) -> TaggingRecipe:
    """Returns the settings for a treebank of this size."""
    sizes = QUICK_SIZES if options.quick else SIZES
    words = sum(len(tree.words) for tree in train)
    tags = [len(treebank.tags(train, column)) for column in ("upos", "xpos")]
    seconds = TOKEN_SECONDS + LABEL_SECONDS * sum(count for count in tags if 1 < count <= MOST_SCORED)
    speed = Speed(TRAINED_QUICKLY if options.quick else 1 / seconds, FINISHED)
    distilled = min(DISTILLED, len(read_text(options.unlabelled).split())) if options.unlabelled else 0
    epochs, limit = training_budget(len(train), words + distilled, speed, least=2, most=25, quick=options.quick)
    recipe = TaggingRecipe(
        name=options.name,
        description=f"Tags words of the language {options.language!r} as the treebank does that it was made of",
        language=options.language,
        licence=options.licence,
        limits="Measured on the treebank that it was made of alone. Texts of another kind are tagged less well.",
        corpus=", ".join(data.sha256[:12] for data in sources),
        tokenizer=tokenizer_name(options.language),
        segmentation=(TOKENS, SENTENCES),
        lemmas=True,
        seed=options.seed,
        epochs=epochs,
        limit=limit,
        batch_tokens=500,
        learning_rate=3e-3,
        weight_decay=0.01,
        characters=16,
        word_count=1 if words < SMALL else 2,
        word_dropout=0.25,
        label_smoothing=0.03,
        chosen_by=HEADS["upos" if tags[0] > 1 else "xpos"],  # others may be tagged loosely
        sizes=sizes,
    )
    if options.teacher:
        teaching = TeacherSettings(
            encoder=options.teacher,
            epochs=min(10, max(3, TAUGHT // words)),
            encoder_rate=1e-4,
            unlabelled_tokens=MOST_UNLABELLED,
        )
        recipe = replace(
            recipe, **TAUGHT_SETTINGS, teaching=teaching, distillation_tokens=distilled, sizes=TAUGHT_SIZES
        )
    recipe = changed(recipe, options.changes)
    show_budget(console, "words", words + distilled, len(train), recipe, speed)
    return recipe
