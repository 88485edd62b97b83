"""Reads a user's labelled texts and makes the task of a classifier from them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rich.console import Console

from service.errors import quantity
from service.text.languages import named_tokenizer, tokenizer_name
from service.text.symbols import UNSPACED_SCRIPTS
from training.data.corpora import source
from training.data.files import DataFileError
from training.data.labelled_texts import shortened
from training.data.splits import HoldOut, by_label, shuffled
from training.data.tables import LabelledText, read_labelled
from training.from_files.budget import Speed, show_budget, training_budget
from training.from_files.options import Options, changed
from training.from_files.splits import divided
from training.models.sentiment import SentimentSizes
from training.tasks.classification import Classification, ClassificationRecipe, TokenizedText

LEAST_TEXTS = 50
LEAST_OF_A_LABEL = 3  # one each for train, dev and test
LABELS = (2, 1000)
LONGEST = 400  # tokens of a text
OTHER_SCRIPTS = "\u0530"  # than Latin, Greek and Cyrillic: those without spaces are among them
LONGEST_WORDS = 20  # characters on average; words of Malayalam have 10
LABEL_WEIGHTS = 2**22  # of the table of pairs of words, all labels together
SIZES = SentimentSizes(embedding=128, units=128, input_dropout=0.5, output_dropout=0.5, weighed=True)
QUICK_SIZES = SentimentSizes(embedding=64, units=48, input_dropout=0.5, output_dropout=0.5, weighed=True)
SPEEDS = {SIZES: Speed(trained=7_500, finished=4_300), QUICK_SIZES: Speed(trained=20_000, finished=4_300)}


def read_task(options: Options, console: Console) -> Classification:
    """Reads the tables of `options` and returns the task. Raises DataFileError."""
    columns = options.text_column, options.label_column
    read = {split: read_labelled(path, *columns) for split, path in options.files.items()}
    _check(read, options)
    hold_out: HoldOut[LabelledText] = by_label(lambda text: text.label)
    found = divided(options, read, hold_out, lambda text: " ".join(text.text.split()), "text", console)
    found["train"] = shuffled(found["train"], options.seed)
    counts = Counter(text.label for text in found["train"])
    labels = sorted(counts, key=lambda label: (-counts[label], label))
    _check_labels(found, labels, options)
    tokenizer, numbers = named_tokenizer(tokenizer_name(options.language)), {label: i for i, label in enumerate(labels)}
    splits = {
        split: [
            TokenizedText(
                shortened([token.text for token in tokenizer.tokens(text.text)], LONGEST), numbers[text.label]
            )
            for text in texts
        ]
        for split, texts in found.items()
    }
    _check_words(splits["train"], options)
    recipe = _recipe(options, splits["train"], len(labels), console)
    splits["train"] = splits["train"][: recipe.limit]
    return Classification(
        recipe,
        splits,
        {options.label_column: tuple(labels)},
        Counter(token.lower() for text in splits["train"] for token in text.tokens),
        tuple(source(path, options.licence) for path in options.files.values()),
    )


def _check(read: Mapping[str, Sequence[LabelledText]], options: Options) -> None:
    """Checks that there are enough texts of each label. Raises DataFileError."""
    path, train = options.files["train"], read["train"]
    if len(train) < LEAST_TEXTS:
        raise DataFileError(path, None, f"{quantity(len(train), 'example')} in all", f"{LEAST_TEXTS} at least")
    lines: dict[str, int] = {}
    for text in train:
        lines.setdefault(text.label, text.line)
    least, most = LABELS
    if not least <= len(lines) <= most:
        fault = quantity(len(lines), "label", ",")
        raise DataFileError(path, None, fault, f"{least} to {most:,}: is it the right column?")
    label, count = Counter(text.label for text in train).most_common()[-1]
    if count < LEAST_OF_A_LABEL:
        times = ("once", "twice")[count - 1]
        right = f"{LEAST_OF_A_LABEL} times at least, one each for train, dev and test; or no such row"
        raise DataFileError(path, lines[label], f"the label {label[:60]!r} occurs {times}", right)
    for split, texts in read.items():
        for text in texts:
            if text.label not in lines:
                fault = f"the label {text.label[:60]!r} does not occur in {path}"
                raise DataFileError(options.files[split], text.line, fault, "one that is learned")


def _check_words(train: Iterable[TokenizedText], options: Options) -> None:
    """Checks that the texts are in a script whose words the tokenizer finds. Raises DataFileError."""
    tokens = [token for text in train for token in text.tokens]
    words = [token for token in tokens if any(c >= OTHER_SCRIPTS and c.isalpha() for c in token)]
    characters = sum(map(len, words))
    if characters > LONGEST_WORDS * len(words) and 2 * characters > sum(map(len, tokens)):
        fault = f"words of {characters / len(words):.0f} characters on average"
        right = f"spaces between words, or a script that is read character by character: {UNSPACED_SCRIPTS}"
        raise DataFileError(options.files["train"], None, fault, right)


def _check_labels(found: Mapping[str, Sequence[LabelledText]], labels: Sequence[str], options: Options) -> None:
    """Checks that train has each label, without the texts that dev and test have as well. Raises DataFileError."""
    for split in ("dev", "test"):
        for text in found[split]:
            if text.label not in labels:
                fault = f"the label {text.label[:60]!r} has no text in train that dev and test do not have"
                path = options.files.get(split, options.files["train"])
                raise DataFileError(path, text.line, fault, "different texts of each label")


def _recipe(options: Options, train: Sequence[TokenizedText], labels: int, console: Console) -> ClassificationRecipe:
    """Returns the settings for so many texts, and labels."""
    sizes = QUICK_SIZES if options.quick else SIZES
    tokens = sum(len(text.tokens) for text in train)
    epochs, limit = training_budget(len(train), tokens, SPEEDS[sizes], least=2, most=8, quick=options.quick)
    recipe = ClassificationRecipe(
        name=options.name,
        description=f"Gives texts one of {labels} labels, as the examples have it that it was made of",
        language=options.language,
        licence=options.licence,
        limits="Measured on examples of the kind that it was made of alone. It gives every text one of its labels.",
        tokenizer=tokenizer_name(options.language),
        corpus=", ".join(source(path, "").sha256[:12] for path in options.files.values()),
        seed=options.seed,
        epochs=epochs,
        limit=limit,
        longest=LONGEST,
        batch_tokens=max(600, tokens // len(train) * 16),
        learning_rate=1e-3,
        clip_norm=1.0,
        averaging=0.995,
        word_count=2,
        sizes=replace(sizes, pairs=min(sizes.pairs, LABEL_WEIGHTS // labels)),
    )
    recipe = changed(recipe, options.changes)
    show_budget(console, "tokens", tokens, len(train), recipe, SPEEDS[sizes])
    return recipe
