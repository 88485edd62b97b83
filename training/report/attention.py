"""Plots the attention of a lemmatizer for a few words."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

from service.errors import ConfigurationError
from service.text import lemmas
from service.text.lemmas import Inflected
from service.text.vocabulary import PAD
from training.data.dataset import Example, collate
from training.report import plots
from training.tasks.lemmatization import Lemmatization

COLUMNS = 3


def draw(task: Lemmatization, model: keras.Model, words: Sequence[str], out: Path) -> Path:
    """Plots the attention of a lemmatizer and returns the path.

    Args:
        words: each with its tags: "women/NOUN/NNS/Number=Plur".
    """
    rows = -(-len(words) // COLUMNS)
    figure = Figure(figsize=(4.2 * COLUMNS, 3.6 * rows), layout="constrained")
    for i, word in enumerate(map(_parsed, words)):
        vocabulary = task.vocabularies["symbols"]
        inputs = collate([Example(word, {"symbol_ids": lemmas.encode(word, vocabulary)})]).inputs
        ids, weights = (np.asarray(output[0]) for output in model.attend(**inputs))
        length = next((step for step, id in enumerate(ids) if id == PAD), len(ids) - 1)
        spelled = [*(vocabulary.string(int(id)) if id > 1 else "?" for id in ids[:length]), "end"]
        axes = figure.add_subplot(rows, COLUMNS, i + 1)
        plots.attention(lemmas.symbols(word), spelled, weights[: length + 1], axes)
    plots.save(figure, out)
    return out


def _parsed(word: str) -> Inflected:
    match word.split("/"):
        case [form, upos, xpos, feats]:
            return Inflected(form, upos, xpos, feats)
        case [form, upos, xpos]:
            return Inflected(form, upos, xpos, "_")
    raise ConfigurationError(f"{word!r} is no word with its tags; one is women/NOUN/NNS/Number=Plur")
