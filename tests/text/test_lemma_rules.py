"""Lemma rules: what they make of a form, their labels, and what they never make."""

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.text.lemma_rules import CASINGS, JOINED, LemmaRule, parse_rule
from training.models.lemmatizer import labels_of

FORMS = st.one_of(
    st.text(min_size=1, max_size=12),
    st.text("abAB|+-=01½ßİŁ❤️", min_size=1, max_size=8),
    st.sampled_from("12,000 1,5 hoping Women McDonalds AMERICA n't n\u2019t ſt ǅ 21–7 | end-1+".split()),
)
LEMMAS = st.one_of(FORMS, st.text(max_size=12))
PUT = st.text("aàb'-", max_size=3)  # neither "|" nor digits, which a rule of `labels_of` never has
RULES = st.builds(LemmaRule, st.sampled_from(sorted(CASINGS)), st.integers(0, 5), PUT, st.integers(0, 5), PUT)


def pairs_of_stem() -> st.SearchStrategy[tuple[str, str]]:
    """Returns a strategy for forms and lemmas that have some characters in common, in any casing."""
    casings = st.sampled_from([str.lower, str.upper, str.title, str])
    parts = st.text(max_size=3)
    return st.builds(
        lambda stem, before, after, other_before, other_after, case, other: (
            case(before + stem + after) or "x",
            other(other_before + stem + other_after),
        ),
        *(FORMS, parts, parts, parts, parts, casings, casings),
    )


PAIRS = st.one_of(st.tuples(FORMS, LEMMAS), pairs_of_stem())


def regular(labels: Iterable[str]) -> list[LemmaRule]:
    """Returns the rules of labels that have a casing."""
    return [rule for rule in map(parse_rule, labels) if isinstance(rule, LemmaRule) and rule.casing != JOINED]


@given(PAIRS)
@example(("a|b", "c|ab"))
@example(("ab", "1ab"))
@example(("İab", "i̇ab"))
def test_every_label_parses_and_makes_the_lemma_of_the_form(pair: tuple[str, str]) -> None:
    form, lemma = pair
    labels = labels_of(form, lemma)
    assert len(set(labels)) == len(labels) > 0
    for rule in map(parse_rule, labels):
        assert (rule if isinstance(rule, str) else rule.apply(form)) == lemma
    assert len({type(parse_rule(label)) for label in labels}) == 1, "an irregular rule is the only one"
    casings = [rule.casing for rule in regular(labels)]
    assert casings == [casing for casing in CASINGS if casing in casings], "one of each casing, in their order"


@given(RULES)
def test_any_rule_is_read_as_it_was_written(rule: LemmaRule) -> None:
    assert parse_rule(str(rule)) == rule


@given(st.one_of(RULES, PAIRS.flatmap(lambda pair: st.sampled_from(regular(labels_of(*pair)) or [LemmaRule("keep")]))))
@example(LemmaRule("lower", put_end="y"))
def test_a_form_without_letters_gets_no_character_that_it_has_not(rule: LemmaRule) -> None:
    for form in ("2005", "½", "❤️", "21–7", "1,500", "...", "%", "+1"):
        assert (rule.apply(form) or "") in form


@given(PAIRS)
def test_a_rule_keeps_two_characters_of_the_form_or_the_whole_lemma(pair: tuple[str, str]) -> None:
    form, lemma = pair
    for rule in regular(labels_of(form, lemma)):
        text = form if rule.casing == "keep" else form.lower()
        kept = len(text) - rule.cut_start - rule.cut_end
        assert kept >= 2 or (kept == 1 and not rule.put_start + rule.put_end)


@pytest.mark.parametrize(
    ("forms", "lemma", "labels"),
    [
        ("hoping", "hope", "lower|end-3+e keep|end-3+e"),
        ("Hoping", "hope", "lower|end-3+e keep|start-1+h|end-3+e"),
        ("Women", "woman", "lower|end-2+an keep|start-1+w|end-2+an"),
        ("unhappiest", "happy", "lower|start-2+|end-4+y keep|start-2+|end-4+y"),
        ("McDonalds", "McDonald", "keep|end-1+"),
        ("is", "be", "=be"),
        ("n't", "not", "=not"),
        ("mice", "mouse", "=mouse"),
        ("1,500th", "1500th", "=1500th"),
        ("1,500", "1500", "joined"),
        ("1,234.50", "1234.50", "joined"),
        ("AMERICA", "America", "first"),
        ("nasa", "NASA", "upper"),
        ("NASA", None, "keep upper"),
        ("Łódź", None, "keep first"),
        ("a", None, "lower keep"),
        ("I", None, "keep first upper"),
        ("2005 1,500 ½ ❤️ 21–7", None, "lower keep first upper"),
    ],
)
def test_a_lemma_has_a_rule_of_each_casing_that_makes_it(forms: str, lemma: str | None, labels: str) -> None:
    """None is the form itself."""
    for form in forms.split():
        assert list(labels_of(form, lemma or form)) == labels.split()


@pytest.mark.parametrize(
    ("label", "lemmas"),
    [
        ("lower|end-3+e", {"HOPING": "hope", "ing": None, "12ing": None}),
        ("lower|start-2+|end-4+y", {"Unluckiest": "lucky"}),
        ("keep|end-1+", {"McDonalds": "McDonald"}),
        ("first|end-1+", {"americaS": "America"}),
        ("upper", {"nasa": "NASA"}),
        ("keep", {"iPhone": "iPhone"}),
        ("lower|end-1+y", {"2005": None}),
        # a capital is put in place of its own letter alone
        ("keep|start-1+A|end-1+", {"americans": "American", "Americans": "American", "israelians": None}),
        # of numbers alone
        ("joined", {"12,000": "12000", "12000": None, "a,b": None, ",": None, "1,2a": None, "½,1": None}),
    ],
)
def test_a_rule_is_applied_to_other_forms(label: str, lemmas: dict[str, str | None]) -> None:
    rule = parse_rule(label)
    assert isinstance(rule, LemmaRule)
    assert {form: rule.apply(form) for form in lemmas} == lemmas


@pytest.mark.parametrize(
    "label", ["", "be", "title", "lower|", "lower|end", "lower|end-+y", "lower|end-x+y", "lower|mid-1+y", "end-3+y"]
)
def test_what_is_no_rule_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match=r"no lemma rule is .*; one is 'lower\|end-3\+y', 'first' or '=be'"):
        parse_rule(label)
