"""Entries of dictionaries: which words they match, what they change, and which lines are refused."""

import re
import sys

import pytest

from service.errors import ConfigurationError
from service.tasks.dictionary import Dictionary, parse
from service.tasks.tagging import Tag
from service.text.interruptible import finish
from service.text.tokens import TokenSpan

UPOS = ("NOUN", "PROPN", "INTJ")
NOUN = Tag("NOUN", "NN", {"Number": "Plur"}, 0.75, "thing")


def replaced(entries: str, text: str, tag: Tag = NOUN) -> dict[str, Tag]:
    """Returns the words of a text that a dictionary changes, by their index and form, with their tags."""
    tokens = [TokenSpan(form, 0, 1) for form in text.split()]
    tags, counted = [tag] * len(tokens), list[int]()
    (found,) = finish(Dictionary(parse(entries, UPOS), counted.append).replace([tokens], [tags]))
    assert sum(counted) == len(found)
    assert all(before == tag for before in found.values())
    assert [tags[i] for i in range(len(tokens)) if i not in found] == [tag] * (len(tokens) - len(found))
    return {f"{i} {tokens[i].text}": tags[i] for i in found}


@pytest.mark.parametrize(
    ("entries", "text", "found"),
    [
        ("lol\t\tINTJ", "so lol LOL Lol lolly", ["1 lol", "2 LOL", "3 Lol"]),
        ("Acme\t\tPROPN", "Acme acme ACME", ["0 Acme"]),
        ("new York\t\tPROPN", "NEW York, new York New york", ["2 new", "3 York"]),
        ("york\t\tPROPN\nnew york\t\tINTJ", "new york york", ["0 new", "1 york", "2 york"]),
        ("a a\t\tINTJ", "a a a", ["0 a", "1 a"]),
        ("run\tNN\tINTJ", "run", ["0 run"]),
        ("run\tNOUN\tINTJ", "run", ["0 run"]),
        ("run\tVERB\tINTJ", "run", []),
        ("# a comment\n\n#\t\tINTJ", "# a comment", ["0 #"]),
        ("", "nothing", []),
    ],
)
def test_matches_forms(entries: str, text: str, found: list[str]) -> None:
    assert list(replaced(entries, text)) == found


@pytest.mark.parametrize(
    ("entries", "tags"),
    [
        ("x\t\tPROPN", [NOUN._replace(upos="PROPN", confidence=1.0)]),
        ("x\t\t\tNNP", [NOUN._replace(xpos="NNP")]),
        ("x\t\t\t\t_", [NOUN._replace(feats={})]),
        ("x\t\t\t\tA=B|C=D", [NOUN._replace(feats={"A": "B", "C": "D"})]),
        ("x\t\t\t\t\tX", [NOUN._replace(lemma="X")]),
        ("x y\tNOUN\t\tNNP NN\t\tX Y", [NOUN._replace(xpos="NNP", lemma="X"), NOUN._replace(lemma="Y")]),
        ("x\tVERB\tPROPN\nx\tNOUN\tINTJ", [NOUN._replace(upos="INTJ", confidence=1.0)]),
    ],
)
def test_changes_what_cells_say(entries: str, tags: list[Tag]) -> None:
    assert list(replaced(entries, "x y").values()) == tags


def test_gives_no_lemma_where_none_is_wanted() -> None:
    assert replaced("x\t\t\t\t\tX", "x", NOUN._replace(lemma=None))["0 x"].lemma is None


@pytest.mark.parametrize(
    ("words", "left_out"), [("the Acme film", [1]), ("acme", []), ("", []), ("star wars STAR WARS", [0, 1, 2, 3])]
)
def test_leaves_out_words(words: str, left_out: list[int]) -> None:
    counted: list[int] = []
    assert list(Dictionary(parse("Acme\nstar wars\n", None), counted.append).ignored(words.split())) == left_out
    assert sum(counted) == len(left_out)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a\t\tNUON", "line 1: the UPOS 'NUON'; right: NOUN, PROPN, INTJ"),
        ("\n\t\tNOUN", "line 2: no forms; right: a word"),
        ("a", "line 1: nothing that it changes; right: forms, if, UPOS, XPOS, feats, lemma"),
        ("a b c\t\tNOUN NOUN", "line 1: 2 values of UPOS; right: one, or one for each form"),
        ("a\t\t\t\tNumber", "line 1: the features 'Number'; right: Name=Value"),
        ("a\t\tNOUN\nA\t\tNOUN\na\t\tINTJ", "line 3: the same forms and tags as line 1; right: one line"),
        ("a\t\tNOUN\t\t\t\tx", "line 1: 7 cells; right: forms, if, UPOS, XPOS, feats, lemma"),
    ],
)
def test_refuses_a_line(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(fault)}"):
        parse(text, UPOS)


def test_a_classifier_has_forms_alone() -> None:
    with pytest.raises(ConfigurationError, match="line 1: 3 cells; right: forms alone"):
        parse("a\t\tNOUN", None)


def test_entries_that_begin_with_the_same_word_are_not_gone_through() -> None:
    made = Dictionary(parse("".join(f"new {i}\t\tPROPN\n" for i in range(1000)), UPOS), lambda words: None)
    tokens, calls = [TokenSpan(form, 0, 1) for form in "a new 999 new one".split()], list[str]()
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
    try:
        found = finish(made.replace([tokens], [[NOUN] * len(tokens)]))
    finally:
        sys.setprofile(None)
    assert [[*one] for one in found] == [[1, 2]]
    assert calls.count("_is") == 1
