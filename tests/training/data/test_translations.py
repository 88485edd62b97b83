"""Pairs of texts, as their file has them."""

import pytest

from training.data import corpora, translations
from training.data.translations import Pair


def test_a_line_is_a_pair_whatever_its_texts_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = 'title\tSong "of\u2028two" lines\tchant\nparagraph\tAs before\x85\tcomme avant\n'
    monkeypatch.setattr(corpora, "read", lambda corpus, split: {("debian_en_fr", "dev"): lines}[corpus, split])
    assert list(translations.read("debian_en_fr", "dev")) == [
        Pair("title", 'Song "of\u2028two" lines', "chant"),
        Pair("paragraph", "As before\x85", "comme avant"),
    ]
