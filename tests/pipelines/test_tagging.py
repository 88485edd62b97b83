"""What the network of a shipped tagger reads of texts."""

import unicodedata

import numpy as np
import pytest

from service.artifact.version import ModelVersion
from service.pipelines.tagging import encode, joined_tokens, split_texts
from service.store.loading import load_version
from service.tasks.tagging import Tagging
from service.text.languages import make_tokenizer
from service.text.slices import finish
from tests.conftest import STORE

TEXTS = {
    "tagger-fr": "Qu'est-ce qu'il a dit? \"L'été, c'était déjà l'époque d'être à l'hôtel\", n'est-ce pas, aujourd'hui.",
    "tagger-en": "It's the café's naïve owner who said: \"Don't!\" They're o'clock-watching.",
}


def tagger(name: str) -> ModelVersion:
    """Returns the version of a shipped tagger."""
    (folder,) = (STORE / name).iterdir()
    return load_version(folder, whole=False)


@pytest.mark.parametrize("name", TEXTS)
def test_variants_of_a_text_are_read_alike(name: str) -> None:
    version = tagger(name)
    task, tokenizer = Tagging(version, 100), make_tokenizer(version.manifest.tokenizer, version.segmenter)
    text = TEXTS[name]
    typographic = text.replace("'", "’").replace("-", "\u2011")
    variants = [typographic, unicodedata.normalize("NFD", text), unicodedata.normalize("NFD", typographic)]
    expected, *found = finish(split_texts(tokenizer, [text, *variants]))
    inputs = finish(encode(task, [expected]))
    assert inputs.values["word_ids"].mean() > 2  # some words are known
    for split in found:
        assert "".join(t.text for s in split.sentences for t in s.tokens) == split.text.replace(" ", "")
        given = finish(joined_tokens([[t.text for t in s.tokens] for s in split.sentences]))
        for way in ([split], given):
            read = finish(encode(task, way))
            assert read.lengths.tolist() == inputs.lengths.tolist()
            for key, values in inputs.values.items():
                np.testing.assert_array_equal(read.values[key], values)


def test_quotes_that_the_treebank_lacks_are_read_as_plain_ones() -> None:
    version = tagger("tagger-fr")
    task = Tagging(version, 100)
    plain, *others = (finish(task.encode([["dit", mark, "non"]])).values for mark in '"“”«»')
    for other in others:
        np.testing.assert_array_equal(other["word_ids"], plain["word_ids"])
        np.testing.assert_array_equal(other["char_ids"], plain["char_ids"])
