import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.tagging import parse_features, windows


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
