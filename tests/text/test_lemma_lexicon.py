"""Packed words are shorter, and unpacked as they were."""

import json
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.text.lemma_lexicon import LONGEST_HASHED, NO_HASH, hash_word, hashes, packed, unpacked
from service.text.lemmatizer import Lemmatizer
from tests.conftest import STORE
from training.models.lemmatizer import LearnedLemmatizer

WORDS = st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), min_size=1)


@given(words=WORDS)
def test_words_are_unpacked_in_order(words: list[str]) -> None:
    assert list(unpacked(packed(words))) == sorted(words)


def test_a_word_is_written_without_what_it_shares_with_the_one_before():
    assert packed(["houses", "a1", "house", "household"]) == "0a1\n0house\n5hold\n5s"
    assert packed(["incomprehensible", "incomprehensibly"]).endswith("\n9ensibly"), "at most nine characters"


@pytest.mark.parametrize("content", ["", "house", "0house\n\n5s", "3house", "0house\n6s"])
def test_other_content_is_refused(content):
    for read in (lambda: list(unpacked(content)), lambda: hashes(["0house\n5s", content], [1, 2])):
        with pytest.raises(ValueError, match=r"no packed word is '(house|3house|6s)?'; one begins with a digit"):
            read()


@given(lists=st.lists(st.tuples(st.integers(0, 2**64 - 1), WORDS), max_size=4))
def test_packed_words_have_the_hashes_of_the_words(lists: list[tuple[int, list[str]]]) -> None:
    found, counts = hashes([packed(words) for _, words in lists], [seed for seed, _ in lists])
    assert counts.tolist() == [len(words) for _, words in lists]
    assert found.tolist() == [hash_word(word, seed) for seed, words in lists for word in sorted(words)]


def test_a_hash_is_the_same_in_every_process():
    assert (hash_word("log"), hash_word("Łódź", 7)) == (0xC06A48E025D2C5DB, 0x6D8A08C52AD42CC1)


def test_long_words_have_no_hash():
    words = ["a" * LONGEST_HASHED, "a" * (LONGEST_HASHED + 1), "a" * 10_000]
    assert hashes([packed(words)], [7])[0].tolist() == [hash_word(words[0], 7), NO_HASH, NO_HASH]
    assert [hash_word(word, 7) for word in words[1:]] == [NO_HASH, NO_HASH]


@pytest.mark.parametrize("path", sorted(STORE.glob("tagger-*/*/lemmas.json")), ids=lambda path: path.parts[-3])
def test_no_two_words_of_a_lexicon_have_the_same_hash(path):
    """A hash modulo a prime of 61 bits gave 11 pairs of the 240,000 German words the same."""
    contents = [forms for rules in json.loads(path.read_bytes())["lexicon"].values() for forms in rules.values()]
    words = set(chain.from_iterable(map(unpacked, contents)))
    assert len(set(hashes(contents, [0] * len(contents))[0].tolist())) == len(words)


def test_a_lexicon_is_read_from_a_list_as_versions_had_before_and_written_packed(tmp_path):
    path = tmp_path / "lemmas.json"
    lexicon = {"NOUN": {"=box": ["boxing", "boxes"]}}
    path.write_text(json.dumps({"characters": "", "irregular": {}, "lexicon": lexicon, "dictionary": {}}))
    before = path.read_bytes()
    LearnedLemmatizer.read(path, []).write(path)
    assert json.loads(path.read_text())["lexicon"] == {"NOUN": {"=box": "0boxes\n3ing"}}
    for content in (before, path.read_bytes()):
        lemmatizer = Lemmatizer.parse(content, [])
        forms = ("boxes", "boxing", "boxed")
        assert [lemmatizer.choose(form, "NOUN", []) for form in forms] == ["box", "box", "boxed"]
