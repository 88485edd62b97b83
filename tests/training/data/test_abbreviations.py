"""Abbreviations of a language: its own, spaCy's that are no words, and ordinal numbers."""

import pytest

from service.text.languages import named_tokenizer
from training.data.abbreviations import BY_LANGUAGE, abbreviations


def test_exceptions_that_may_be_words_are_left_out():
    exceptions = {
        "Hbf.": ("Hbf.",),
        "HRN.": ("HRN.",),
        "Min.": ("Min.",),
        "So.": ("So.",),
        "i'm.": ("i", "'m."),
        "ab.": ("ab.",),
    }
    assert abbreviations("xx", exceptions) == {"hbf.": True, "hrn.": False}


def test_parts_of_an_abbreviation_stand_alone_too():
    assert abbreviations("xx", {"v.Chr.": ("v.Chr.",), "p.ej.": ("p.ej.",)}) == {
        "chr.": True,
        "p.": True,
        "p.ej.": True,
        "v.": True,
        "v.chr.": True,
    }


def test_a_sentence_may_end_after_a_street():
    assert abbreviations("de", {}).items() > {"hauptstr.": True, "usw.": True, "abb.": False}.items()


def test_ordinal_numbers_of_some_languages_have_a_full_stop():
    assert abbreviations("de", {}).items() > {"1.": False, "31.": False}.items()
    assert "1." not in abbreviations("fr", {})


@pytest.mark.parametrize("language", sorted(BY_LANGUAGE))
def test_own_abbreviations_end_with_a_full_stop_and_stand_in_order(language):
    own = BY_LANGUAGE[language].split()
    assert all(one.endswith(".") and one == one.lower() for one in own)
    assert len(own) == len(set(own))
    assert abbreviations(language, named_tokenizer(f"spacy-{language}").rules.exceptions).keys() >= set(own)
