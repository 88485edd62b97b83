"""Packed words are shorter, and unpacked as they were."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.text.lemmatizer import LemmaFile, Lemmatizer
from service.text.packed_words import packed, unpacked
from training.models.lemmatizer import LearnedLemmatizer

WORDS = st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), min_size=1)


@given(words=WORDS)
def test_words_are_unpacked_in_order(words: list[str]) -> None:
    assert list(unpacked(packed(words))) == sorted(words)


def test_a_word_is_written_without_what_it_shares_with_the_one_before():
    assert packed(["houses", "a1", "house", "household"]) == "0a1\n0house\n5hold\n5s"
    assert packed(["incomprehensible", "incomprehensibly"]).endswith("\n9ensibly"), "at most nine characters"


@pytest.mark.parametrize("content", ["", "house", "0house\n\n5s"])
def test_other_content_is_refused(content):
    with pytest.raises(ValueError, match=r"no packed word is '(house)?'; one begins with a digit"):
        list(unpacked(content))


@pytest.mark.parametrize(
    "forms", ["0boxes\n3ing", ["boxes", "boxing"]], ids=["packed", "a list, as versions had before"]
)
def test_a_lexicon_is_read_from_packed_words_and_from_a_list(forms):
    lemmatizer = Lemmatizer([], LemmaFile("", {}, {"NOUN": {"=box": forms}}, {}))
    assert [lemmatizer.choose(form, "NOUN", []) for form in ("boxes", "boxing", "box")] == ["box", "box", "box"]
    assert lemmatizer.choose("boxed", "NOUN", []) == "boxed"


def test_a_version_that_is_exported_again_has_its_lexicon_packed(tmp_path):
    path = tmp_path / "lemmas.json"
    lexicon = {"NOUN": {"=box": ["boxing", "boxes"]}}
    path.write_text(json.dumps({"characters": "", "irregular": {}, "lexicon": lexicon, "dictionary": {}}))
    LearnedLemmatizer.read(path, []).write(path)
    assert json.loads(path.read_text())["lexicon"] == {"NOUN": {"=box": "0boxes\n3ing"}}
