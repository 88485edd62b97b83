"""Abbreviations of a language: its own, spaCy's that are no words, and ordinal numbers."""

import pytest

from service.text.languages import named_tokenizer
from training.data.abbreviations import BY_LANGUAGE, abbreviations


def test_exceptions_that_may_be_words_are_left_out():
    exceptions = {one: (one,) for one in ("Hbf.", "HRN.", "Min.", "So.", "ab.")} | {"i'm.": ("i", "'m.")}
    assert abbreviations("xx", exceptions) == {"hbf.": True, "hrn.": False}


def test_parts_of_an_abbreviation_stand_alone_too():
    found = abbreviations("xx", {"v.Chr.": ("v.Chr.",), "p.ej.": ("p.ej.",)})
    assert found == dict.fromkeys(("chr.", "p.", "p.ej.", "v.", "v.chr."), True)


def test_a_language_has_its_own_and_ordinal_numbers_where_these_have_a_full_stop():
    found = {"hauptstr.": True, "usw.": True, "abb.": False, "1.": False, "31.": False}  # may a sentence end there
    assert abbreviations("de", {}).items() > found.items()
    assert "1." not in abbreviations("fr", {})


@pytest.mark.parametrize("language", sorted(BY_LANGUAGE))
def test_own_abbreviations_end_with_a_full_stop_and_stand_in_order(language):
    own = BY_LANGUAGE[language].split()
    assert all(one.endswith(".") and one == one.lower() for one in own)
    assert len(own) == len(set(own))
    assert abbreviations(language, named_tokenizer(f"spacy-{language}").rules.exceptions).keys() >= set(own)
