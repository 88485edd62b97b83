from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifact.manifest import Endpoint, TensorSpec
from service.artifact.version import ModelVersion
from service.tasks.tagging import Tagging, parse_features, windows
from service.text.slices import finish
from service.text.vocabulary import Vocabulary
from tests.fakes import version_of


def tagger() -> ModelVersion:
    """Returns a tagger whose words and labels are the numbers up to 39."""
    ids, letters = (TensorSpec(dtype="int32", axes=("B", "T", *rest)) for rest in ((), (4,)))
    numbers = tuple(str(number) for number in range(40))
    version = version_of(
        "tagger",
        endpoints={"tag": Endpoint(inputs={"word_ids": ids, "char_ids": letters}, outputs={})},
        labels={"upos": numbers, "xpos": numbers, "feats": ("_",) * 40},
    )
    return replace(version, vocabularies={"words": Vocabulary(numbers), "characters": Vocabulary([*"0123456789"])})


@given(st.integers(1, 2000), st.integers(2, 128))
def test_windows_cover_each_token_once_and_fit(length, longest):
    pieces = windows(length, longest)
    kept = [i for piece in pieces for i in range(piece.keep_start, piece.keep_end)]
    assert kept == list(range(length))
    for piece in pieces:
        assert 0 <= piece.start <= piece.keep_start < piece.keep_end <= piece.end <= length
        assert piece.end - piece.start <= longest


@pytest.mark.parametrize("length", [129, 200, 224, 225, 5000])
def test_a_token_next_to_a_seam_has_context_on_both_sides(length):
    for piece in windows(length, 128):
        assert piece.start == 0 or piece.keep_start - piece.start >= 16
        assert piece.end == length or piece.end - piece.keep_end >= 16


def test_features_are_read_as_conllu_has_them():
    assert parse_features("_") == {}
    assert parse_features("Mood=Ind|Tense=Past") == {"Mood": "Ind", "Tense": "Past"}


@given(st.lists(st.integers(1, 40), max_size=8))
def test_sentences_are_encoded_and_decoded_as_each_would_be_alone(lengths):
    """Longer ones in windows; the tags of a token depend on its word here, so each says which token it is of."""
    task, words = Tagging(tagger(), 8), [str(number) for number in range(40)]
    sentences = [[words[(length + place) % 40] for place in range(length)] for length in lengths]
    sequences = finish(task.encode(sentences))
    assert sequences.lengths.max(initial=0) <= 8
    assert sequences.values["word_ids"].shape == (sequences.tokens,)
    assert sequences.values["char_ids"].shape == (sequences.tokens, 4)
    ids = sequences.values["word_ids"] - 2
    outputs = {f"{head}_id": ids for head in ("upos", "xpos", "feats")}
    outputs["upos_probability"] = ids.astype(np.float32) / 64
    found = finish(task.decode(lengths, outputs))
    assert [[tag.upos for tag in tags] for tags in found] == sentences
    assert [[tag.confidence * 64 for tag in tags] for tags in found] == [list(map(int, one)) for one in sentences]
