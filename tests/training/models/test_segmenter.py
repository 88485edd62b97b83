"""Tokens, multiword tokens and sentences learned from a treebank whose conventions differ from the rules."""

import unicodedata
from itertools import product
from string import ascii_lowercase

import pytest

from service.text.languages import named_tokenizer
from service.text.segmenter import Segmenter
from service.text.tokenizer import Tokenizer
from tests.training.tiny import split_words
from training.data import treebank
from training.data.known_forms import KnownForms
from training.data.treebank import Tree, raw_text
from training.metrics.segmentation import score
from training.models import segmenter
from training.models.segmenter import SENTENCES, TOKENS, learn

RULES = named_tokenizer("spacy-fr")
NAMES = "Anne Luc Marie Paul Zoé Jean Lise Marc".split()
NOUNS = "pain vin bois jardin marché livre chat chien".split()


def lines(*words: str) -> str:
    """Returns a sentence in CoNLL-U: "du=de+le" is a multiword token, and "." has no space before it."""
    rows: list[list[str]] = []
    number = 0
    for word in words:
        form, _, parts = word.partition("=")
        if form == ".":
            rows[-1][-1] = "SpaceAfter=No"
        if parts:
            rows.append([f"{number + 1}-{number + 1 + parts.count('+')}", form, *"_______", "_"])
        for part in (parts or form).split("+"):
            number += 1
            rows.append([str(number), part, *"_______", "_"])
    return "".join("\t".join(row) + "\n" for row in rows) + "\n"


def trees(first: int = 0) -> list[Tree]:
    """Returns sentences with hyphens that split no word, and some without full stops."""
    sentences = []
    for i in range(60):
        name, noun = NAMES[(first + i) % 8], NOUNS[(first + i * 3) % 8]
        sentences.append(lines(name, "parle", "du=de+le", f"{noun}-{noun}"))
        sentences.append(lines("Le", noun, "vient", "chez", name, "du", "soir", "."))
    return list(treebank.read("".join(sentences)))


@pytest.fixture(scope="module")
def learned() -> Segmenter:
    return learn(trees(), trees(5), RULES, (TOKENS, SENTENCES))


def test_a_learned_segmenter_splits_where_the_rules_do_not(learned):
    text, gold = raw_text(trees(3))
    rules, own = score(gold, RULES.sentences(text)), score(gold, Tokenizer(RULES.rules, learned).sentences(text))
    assert rules.sentences < 80
    assert rules.words < 95
    assert (own.tokens, own.sentences, own.words) == (100, 100, 100)


def test_a_token_that_is_several_words_in_some_places_has_a_classifier(learned):
    assert learned.multiwords == {"du": ("de", "le")}
    assert list(learned.choices) == ["du"]


def test_a_frequent_chunk_that_only_looks_like_others_is_split():
    """As the Portuguese "ao" is, among many words that begin or end as it does."""
    others = [lines(f"a{x}", f"{x}o", f"a{x}o", f"a{y}{x}", f"{x}{y}o") for x, y in product(ascii_lowercase, "aeiou")]
    frequent = list(treebank.read("".join(others) + lines("vai", "ao=a+o", "fim") * 30))
    segmenter = learn(frequent, [], RULES, (TOKENS,))
    assert split_words("fr", segmenter, "vai ao aro fim apo") == ["vai", "a", "o", "aro", "fim", "apo"]


def test_parts_that_are_not_learned_stay_with_the_rules():
    ends = learn(trees(), trees(5), RULES, (SENTENCES,))
    assert ends.ends is not None
    assert (ends.boundaries, ends.continuations, ends.multiwords) == (None, None, {})
    assert learn(trees(), trees(5), RULES, (TOKENS,)).ends is None


def test_sentences_are_learned_with_question_and_exclamation_marks_where_few_have_them(monkeypatch):
    monkeypatch.setattr(segmenter, "LEAST_ENDS", 12)
    questions = list(treebank.read(lines("Vient", "Luc", "?") * 10))
    others = list(segmenter._with_other_terminators([*trees(), *questions]))
    assert [tree.forms[-1] for tree in others] == [*"!" * 12, *"??"]
    text, sentences = raw_text(others)
    assert "du soir! " in text
    assert text[sentences[0].tokens[-1].start : sentences[0].end] == "!"
    assert others[0].forms[:-1] == next(tree.forms[:-1] for tree in trees() if tree.forms[-1] == ".")


def test_abbreviations_are_kept_whole_unless_the_treebank_splits_them():
    sentences = [
        lines("Voir", "fig.", "Anne", "et", "art", ".", "Luc", "."),
        lines("Du", "pain", "etc.", "vient", "de", "Paris", "kg", "."),
        lines("Il", "pèse", "env."),
        lines("Le", "2.", "et", "le", "3.", "mars"),
        lines("Le", "3", ".", "avril"),
    ]
    known = KnownForms(dict.fromkeys("2. 3. fig. art. env. dr.".split(), False) | {"etc.": True, "kg.": True})
    found = learn(list(treebank.read("".join(sentences) * 3)), trees(5), RULES, (TOKENS, SENTENCES), known)
    assert found.abbreviations == {"2.": False, "3.": False, "fig.": False, "etc.": True, "env.": True, "dr.": False}


def test_nothing_is_learned_from_a_treebank_without_evidence():
    plain = list(treebank.read(lines("Oui") * 3))
    assert learn(plain, plain, RULES, (TOKENS, SENTENCES)) == Segmenter()


def test_normal_forms_apostrophes_and_quotes_do_not_change_what_is_learned():
    """What is learned of "l’été" in NFD is what the service reads of "l'été": the normal form, with plain quotes."""
    sentences = "".join(
        lines("d'été", "jusqu'à=jusqu'+à", "été", '"', "vient", '"', NAMES[i % 8], "-", NOUNS[i % 5], ".")
        for i in range(30)
    )
    variant = unicodedata.normalize("NFD", sentences.replace("'", "’").replace('"', "“"))
    plain, other = list(treebank.read(sentences)), list(treebank.read(variant))
    assert learn(other, other, RULES, (TOKENS, SENTENCES)) == learn(plain, plain, RULES, (TOKENS, SENTENCES))
