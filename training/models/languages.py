"""Trains the model that identifies the language of a text, see `service.text.identifier`."""

import io
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module, resources
from typing import TypeAlias

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_matrix

from service.text import identifier
from service.text.identifier import Identifier, features, letters_of
from training.data import corpora
from training.data.dataset import Array
from training.folders import replace_file

Identify: TypeAlias = Callable[[str], str]  # returns the language of a text, a primary tag of BCP 47

TREEBANKS = {  # of the languages that taggers are shipped or planned for, and Italian
    **{"en": "ewt", "fr": "gsd_fr", "es": "ancora", "pt": "bosque", "de": "gsd_de", "nl": "lassysmall"},
    **{"sv": "talbanken", "da": "ddt", "it": "markit"},
}
TESTS = {**TREEBANKS, "fr": "sequoia"}
VOICES = {tag: "common_voice" if tag == "en" else f"common_voice_{tag}" for tag in (*TREEBANKS, "pl")}
# Further languages, of Django's messages alone: enough to say that a text is in none of those above.
FURTHER = (
    "af ar az be bg bn ca cs cy el et eu fa fi ga gl he hi hr hu hy id is "
    "ja ka kk kn ko lt lv mk ml nb ro ru sk sl sq sr sw ta te th tr uk vi zh"
).split()
ROWS = 2**16  # of weights
TEXTS, MESSAGES = 12_000, 2500  # drawn for each language from a corpus of sentences, and from messages
MOST_WORDS = 8  # of a part of a sentence, which half of the texts are
WITHOUT_MARKS = 0.05  # the share of texts without accents
EPOCHS, BATCH, RATE, DECAY = 8, 1024, 0.5, 1e-7
LENGTHS = ((20, 60), (60, 10**6))  # in characters, of the sentences that are measured together


def train(console: Console) -> None:
    """Trains on Common Voice alone, to measure on text of another source; then on all corpora; writes the latter.

    Prints the accuracy on the test splits of treebanks for both, and on spaCy's examples for further languages.
    """
    tests = {tag: sentences_of(corpus, "test") for tag, corpus in TESTS.items()}
    voices = {tag: [corpora.read(corpus, tag).split("\n")[:-1]] for tag, corpus in VOICES.items()}
    alone = fit(voices, TEXTS)
    messages: dict[str, list[str]] = {}
    for row in corpora.read_table("django_messages", "messages"):
        messages.setdefault(row["language"], []).append(row["text"])
    everything = {
        tag: [*voices[tag], *([sentences_of(TREEBANKS[tag], "train")] if tag in TREEBANKS else [])] for tag in VOICES
    }
    trained = fit(everything, TEXTS, {tag: messages[tag] for tag in (*VOICES, *FURTHER) if tag in messages})
    identifiers: dict[str, Identify] = {
        "Common Voice alone": lambda text: alone.identify(text).language,
        "all corpora": lambda text: trained.identify(text).language,
    }
    console.print(accuracies(identifiers, tests))
    spacy = resources.files("spacy.lang")
    with_examples = [tag for tag in FURTHER if (spacy / tag / "examples.py").is_file()]
    examples = {tag: import_module(f"spacy.lang.{tag}.examples").sentences for tag in with_examples}
    right = sum(trained.identify(text).language == tag for tag, texts in examples.items() for text in texts)
    number = sum(map(len, examples.values()))
    console.print(f"{right} of {number} sentences in {len(examples)} of the further languages")
    replace_file(identifier.FILE, lambda file: file.write(content_of(trained)))
    console.print(f"written: {identifier.FILE}", highlight=False, soft_wrap=True)


def content_of(trained: Identifier) -> bytes:
    """Returns the content of the file of a model, which `Identifier.parse` reads."""
    file = io.BytesIO()
    languages = np.array(trained.languages)
    np.savez_compressed(file, languages=languages, weights=trained.weights, scale=trained.scale, bias=trained.bias)
    return file.getvalue()


def fit(
    sentences: Mapping[str, Sequence[Sequence[str]]],
    texts: int,
    messages: Mapping[str, Sequence[str]] | None = None,
    rows: int = ROWS,
) -> Identifier:
    """Trains a model on texts drawn from corpora by language: `texts` from each of sentences, MESSAGES of messages.

    A softmax regression, by AdaGrad (Duchi et al. 2011).
    """
    messages = messages or {}
    languages = tuple(dict.fromkeys((*sentences, *messages)))
    rng = np.random.default_rng(1)
    drawn: list[str] = []
    labels: list[int] = []
    for label, tag in enumerate(languages):
        for corpus in sentences.get(tag, ()):
            drawn += _draw(corpus, texts, rng)
        if tag in messages:
            drawn += _draw(messages[tag], min(texts, MESSAGES), rng)
        labels += [label] * (len(drawn) - len(labels))
    weights, bias = _fit(_matrix(drawn, rows), np.array(labels), len(languages), rng)
    scale = np.percentile(np.abs(weights[weights != 0]), 99.99) / 127  # the few above it are cut
    return Identifier(
        languages, np.clip(np.rint(weights / scale), -127, 127).astype(np.int8), np.array(scale, np.float32), bias
    )


def sentences_of(corpus: str, split: str) -> list[str]:
    """Returns the sentences of a treebank as they are written, where it has that."""
    lines = corpora.read(corpus, split).split("\n")
    return [line.removeprefix("# text = ").strip() for line in lines if line.startswith("# text = ")]


def _draw(corpus: Sequence[str], number: int, rng: np.random.Generator) -> Iterable[str]:
    """Yields texts of a corpus, half of them cut to a few words, some without accents."""
    for i in rng.integers(len(corpus), size=number):
        words = corpus[i].split()
        most = int(rng.integers(1, MOST_WORDS + 1)) if rng.random() < 0.5 else len(words)
        start = int(rng.integers(0, max(1, len(words) - most + 1)))
        text = " ".join(words[start : start + most])
        if rng.random() < WITHOUT_MARKS:
            text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
        yield text


def _matrix(texts: Sequence[str], rows: int) -> csr_matrix:
    """Returns the features of texts, shape [texts, rows]: each sequence of characters counts 1 / sqrt(their number)."""
    found = [features(text, rows) for text in texts]
    lengths = [len(some) for some in found]
    values = np.repeat([max(1, length) ** -0.5 for length in lengths], lengths).astype(np.float32)
    matrix = csr_matrix((values, np.concatenate(found), np.cumsum([0, *lengths])), (len(texts), rows))
    matrix.sum_duplicates()
    return matrix


def _fit(inputs: csr_matrix, labels: Array, languages: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Returns weights [rows, languages] and bias [languages] of a softmax regression; float32."""
    parameters = [np.zeros((inputs.shape[1], languages), np.float32), np.zeros(languages, np.float32)]
    squares = [np.full_like(some, 1e-6) for some in parameters]
    for epoch in range(EPOCHS):
        order = rng.permutation(len(labels))
        for first in range(0, len(order), BATCH):
            some = order[first : first + BATCH]
            x = inputs[some]
            errors = x @ parameters[0] + parameters[1]  # [B, languages]: scores, then probabilities less the labels
            errors = np.exp(errors - errors.max(axis=1, keepdims=True))
            errors /= errors.sum(axis=1, keepdims=True)
            errors[np.arange(len(some)), labels[some]] -= 1
            gradients = x.T @ errors / len(some) + DECAY * parameters[0], errors.mean(axis=0)
            for parameter, square, gradient in zip(parameters, squares, gradients, strict=True):
                square += gradient * gradient
                parameter -= RATE * (1 - epoch / EPOCHS) * gradient / np.sqrt(square)
    return parameters[0], parameters[1]


def accuracies(identifiers: Mapping[str, Identify], tests: Mapping[str, Sequence[str]]) -> Table:
    """Returns the table of accuracies in percent by length, and of the processor time that a sentence takes.

    Sentences without letters outside of addresses, which are in no language, are left out.
    """
    table = Table("", "characters", *tests, "mean", "µs")
    for name, identify in identifiers.items():
        for least, most in LENGTHS:
            chosen = {
                tag: [text for text in texts if least <= len(text) < most and letters_of(text)]
                for tag, texts in tests.items()
            }
            identify(next(text for texts in chosen.values() for text in texts))  # loads what it needs
            start = time.process_time()
            right = {tag: sum(identify(text) == tag for text in texts) for tag, texts in chosen.items()}
            seconds = time.process_time() - start
            shares = [100 * right[tag] / len(texts) for tag, texts in chosen.items()]
            shown = f"{least} to {most - 1}" if most < 10**6 else f"{least} or more"
            figures = [f"{share:.2f}" for share in (*shares, np.mean(shares))]
            table.add_row(name, shown, *figures, f"{1e6 * seconds / sum(map(len, chosen.values())):.0f}")
    return table
