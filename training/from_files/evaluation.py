"""Measures exported taggers and classifiers on a file, and compares two of them by a paired bootstrap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from service.artifact import manifest as artifact
from service.artifact.manifest import Manifest
from service.errors import ConfigurationError
from service.text.languages import named_tokenizer
from service.text.lemmatizer import LEMMA, Lemmatizer, finer_column
from service.text.vocabulary import UNK, Vocabulary, encode_tokens
from training.data import treebank
from training.data.dataset import Array, Example
from training.data.files import DataFileError, read_text
from training.data.tables import read_labelled
from training.data.treebank import NOTHING
from training.metrics.predictions import Predictions, difference_interval, interval
from training.metrics.raw_text import Tags
from training.report.tables import new_table, show_changes
from training.run.versions import load_endpoint, version_folder
from training.tasks.base import Predict, predict_all
from training.tasks.tagged_lemmas import with_lemmas
from training.tasks.tagging import HEADS, inputs_of

MOST_MODELS = 2


@dataclass(frozen=True)
class ExportedModel:
    """A version of a model, ready to predict."""

    manifest: Manifest
    vocabularies: Mapping[str, Vocabulary]
    lemmatizer: Lemmatizer | None
    predict: Predict

    @property
    def name(self) -> str:
        """Model and version, such as "tagger-en/2"."""
        return f"{self.manifest.name}/{self.manifest.version}"


def evaluate_on_file(
    store: Path, names: Sequence[str], path: Path, columns: tuple[str, str, str], console: Console
) -> None:
    """Prints the accuracy of one or two models on a file, each with its 95 % interval; of two, also the difference.

    Of two, also prints what the second has right that the first has not, and the other way round, with examples.

    Of classifiers, also prints the recall of each label and, if a column of groups is named, the accuracy in each.

    Args:
        names: of models in the store, such as "tagger-en", for its newest version, or "tagger-en/2".
        path: CoNLL-U for taggers; a table for classifiers.
        columns: of that table: text, label, group; no group for "".

    Raises:
        ArtifactError: if there is no such version, or its files are not valid.
        ConfigurationError: if the models are not one or two taggers, or one or two classifiers.
        DataFileError: if the file is not valid.
    """
    if len(names) > MOST_MODELS:
        raise ConfigurationError(f"{len(names)} models; right: one, or two to compare")
    folders = [version_folder(store, name) for name in names]
    manifests = [artifact.read_manifest(folder) for folder in folders]
    tasks = {manifest.task for manifest in manifests}
    if len(tasks) > 1 or not tasks <= {"tag", "classify"}:
        given = ", ".join(f"{manifest.name} ({manifest.task})" for manifest in manifests)
        raise ConfigurationError(f"{given} with --data; right: a tagger or two, or a classifier or two")
    models = [_load(folder, manifest) for folder, manifest in zip(folders, manifests, strict=True)]
    if tasks == {"tag"}:
        trees = list(treebank.read(read_text(path), path))
        found, sources = [tagged(model, trees) for model in models], [tree.forms for tree in trees]
    else:
        rows = read_labelled(path, *columns)
        texts = [(row.text, row.label) for row in rows]
        found, sources = [classified(model, texts) for model in models], [(text,) for text, _ in texts]
    if not found[0]:
        raise DataFileError(path, None, "nothing to measure", "at least one sentence with tags, or one labelled text")
    _show(console, [model.name for model in models], found, path)
    if len(models) == MOST_MODELS:
        examples = [Example(words, {}) for words in sources]
        for kind in [kind for kind in found[0] if kind in found[1] and kind != LEMMA]:
            labels = [model.manifest.labels[kind] for model in models]
            show_changes(
                console, kind, [model.name for model in models], [one[kind] for one in found], labels, examples
            )
    if tasks == {"classify"}:
        _show_groups(console, [model.name for model in models], found, "label", [row.label for row in rows])
        if columns[2]:
            _show_groups(console, [model.name for model in models], found, columns[2], [row.group for row in rows])


def tagged(model: ExportedModel, trees: Sequence[treebank.Tree]) -> dict[str, Predictions]:
    """Returns the predictions for each column that a treebank has, on its own words; of lemmas, right or wrong."""
    labels = model.manifest.labels
    longest = model.manifest.endpoint.inputs["char_ids"].axes[-1]
    assert isinstance(longest, int)  # noqa: S101 (the exporter writes a number)
    examples = [Example(tree.forms, inputs_of(tree.forms, model.vocabularies, longest)) for tree in trees]
    outputs = dict(predict_all(model.predict, examples))

    def probabilities(head: str) -> Array:
        return np.concatenate([outputs[i][head][: len(example)] for i, example in enumerate(examples)])

    words = [word for tree in trees for word in tree.words]
    groups = np.repeat(np.arange(len(trees)), [len(tree.words) for tree in trees])
    found = {}
    for head in HEADS:
        column = [getattr(word, head) for word in words]
        if set(column) - {NOTHING}:
            found[head] = Predictions(_ids(column, labels[head]), probabilities(head), groups)
    if model.lemmatizer and any(word.lemma != NOTHING for word in words):
        columns = [[labels[head][i] for i in probabilities(head).argmax(-1)] for head in HEADS]
        tags = [Tags(*row) for row in zip(*columns, strict=True)]
        written = (word.form for word in words)
        given = with_lemmas(model.lemmatizer, finer_column(labels), written, tags, probabilities(LEMMA))
        wrong = [word.lemma not in (tags.lemma, NOTHING) for word, tags in zip(words, given, strict=True)]
        found[LEMMA] = Predictions.certain(np.zeros(len(words), np.int64), np.array(wrong, np.int64), 2, groups)
    return found


def classified(model: ExportedModel, texts: Sequence[tuple[str, str]]) -> dict[str, Predictions]:
    """Returns the predictions for texts with their labels."""
    tokenizer = named_tokenizer(model.manifest.tokenizer or "")
    examples = []
    for text, _ in texts:
        tokens = tuple(token.text for token in tokenizer.tokens(text))
        ids = encode_tokens(tokens, model.vocabularies["words"]) if tokens else np.array([UNK], np.int32)
        examples.append(Example(tokens, {"word_ids": ids}))
    ((kind, labels),) = model.manifest.labels.items()
    outputs = dict(predict_all(model.predict, examples))
    probabilities = [outputs[i]["probabilities"] for i in range(len(examples))]
    gold = _ids([label for _, label in texts], labels)
    return {kind: Predictions(gold, np.stack(probabilities), np.arange(len(texts)))} if texts else {}


def _load(folder: Path, manifest: Manifest) -> ExportedModel:
    artifact.verify_files(folder, manifest)
    vocabularies, lemmatizer = artifact.read_vocabularies(folder, manifest), artifact.read_lemmatizer(folder, manifest)
    return ExportedModel(manifest, vocabularies, lemmatizer, load_endpoint(folder, manifest.task))


def _ids(column: Sequence[str], labels: Sequence[str]) -> Array:
    """Returns the number of each label, -1 where a model does not have it."""
    numbers = {label: i for i, label in enumerate(labels)}
    return np.array([numbers.get(label, -1) for label in column], np.int64)


def _show(console: Console, names: Sequence[str], found: Sequence[Mapping[str, Predictions]], path: Path) -> None:
    """Prints the accuracy of each model by kind of label and, for two models, the gain of the second over the first."""
    table = new_table(f"{path}: accuracy", "", "model", right=["%", "95 % interval"])
    for kind in [kind for kind in found[0] if all(kind in other for other in found)]:
        predictions = [each[kind] for each in found]
        for name, each in zip(names, predictions, strict=True):
            table.add_row(kind, name, *_cells(100 * each.right.mean(), *interval(each), ""))
        if len(predictions) > 1:
            one, other = predictions
            gain = 100 * (other.right.mean() - one.right.mean())
            table.add_row(kind, "difference", *_cells(gain, *difference_interval(one, other), "+"), end_section=True)
    console.print(table)


def _show_groups(
    console: Console,
    names: Sequence[str],
    found: Sequence[Mapping[str, Predictions]],
    column: str,
    values: Sequence[str],
) -> None:
    """Prints how many texts each model has right by their value in a column, and how many there are."""
    table = new_table(f"right, by {column}", column, right=[*names, "of"])
    groups = np.array(values)
    for group in dict.fromkeys(values):
        rights = [int(next(iter(each.values())).right[groups == group].sum()) for each in found]
        table.add_row(group, *map(str, rights), str((groups == group).sum()))
    console.print(table)


def _cells(value: float, low: float, high: float, sign: str) -> tuple[str, str]:
    return f"{value:{sign}.2f}", f"{low:{sign}.2f} to {high:{sign}.2f}"
