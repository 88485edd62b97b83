"""The lemmas of tagged words: which source decides, which rules a form may have, and the file that keeps them."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.text.lemma_rules import casing
from service.text.lemmatizer import RULES_TRIED, LemmaFile, Lemmatizer, finer_column, odds
from service.text.normalization import normalize_form
from training.models.lemmatizer import LearnedLemmatizer, TaggedWord, labels_of
from training.models.lemmatizer import learn as learn_lemmatizer

LOWER, KEEP, S, ES, BE, N_TO_Y, PUT = range(7)
LABELS = ("lower", "keep", "lower|end-1+", "lower|end-2+", "=be", "lower|end-1+y", "lower|start-0+un")
NOUN, VERB = ("NOUN", "NNS"), ("VERB", "VBZ")
LEARNED = [
    (TaggedWord("boxes", *NOUN), "box"),
    (TaggedWord("Dogs", *NOUN), "dog"),
    (TaggedWord("is", *VERB), "be"),
    (TaggedWord("Łódź", "PROPN", "_"), "Łódź"),  # keeps its characters, so it adds none that a rule may change
    (TaggedWord("axes", *NOUN), "axis"),
    (TaggedWord("axes", *NOUN), "axe"),
    (TaggedWord("axes", *NOUN), "axe"),
]
UNCHANGED = ["❤️", "21–7", "½", "Łódź", "2005", "...", "naïve", "Ωs"]


def learned(**lexicon: dict[str, list[str]]) -> LearnedLemmatizer:
    return learn_lemmatizer(LEARNED, LABELS).with_lexicon(lexicon)


def test_the_dictionary_is_before_the_lexicon_and_that_before_rules() -> None:
    with_lexicon = learned(NOUN={"=of the lexicon": ["boxes"]})
    assert with_lexicon.lemma("boxes", *NOUN, [S]) == "box"
    assert with_lexicon.lemma("Boxes", *NOUN, [S]) == "of the lexicon", "which has forms in any case"
    assert with_lexicon.lemma("boxes", "NOUN", "NN", [S]) == "of the lexicon", "and with any finer tag"
    assert with_lexicon.lemma("boxes", *VERB, [S]) == "boxe", "another part of speech is another word"
    of_verbs = learned(VERB={"=kunnen": ["kun"], "=haber": ["has"]}, AUX={"=have": ["has"]})
    assert [of_verbs.lemma(form, "AUX", "VB", [S]) for form in ("Kun", "has")] == ["kunnen", "have"]
    assert learned().lemma("Boxes", *NOUN, [S]) == "boxe", "the dictionary has the form as it is spelled"
    assert learned().lemma("boxes", "NOUN", "NN", [S]) == "boxe", "and with the tag that it has there"


@pytest.mark.parametrize(
    ("upos", "lemmas"),
    [
        ("ADV", {"soooo": "so", "tooo": "too"}),
        ("NOUN", {"commment": "comment", "sooo": "sooo"}),  # the latter as it is in the treebank
        ("NOUN", {"haus": "Haus", "HAUS": "Haus", "COMMENT": "comment"}),
        ("PUNCT", {"”": '"'}),
        ("NOUN", dict.fromkeys(["www", "XVIIIe", "cooom", "Comment", "so"])),
        ("ADV", dict.fromkeys(["comment", "Soooo", "soon", "s" + 60 * "o"])),
    ],
)
def test_a_word_that_the_dictionary_lacks_may_be_there_in_other_characters(upos, lemmas) -> None:
    forms = {"ADV": ("so", "too"), "NOUN": ("comment", "ww", "XVIIe", "sooo", "Haus"), "PUNCT": ('"',)}
    words = [(TaggedWord(form, upos, "_"), form) for upos, of_upos in forms.items() for form in of_upos]
    lemmatizer = learn_lemmatizer(words, LABELS)
    assert {form: lemmatizer.find(form, upos, "_") for form in lemmas} == lemmas


def test_words_of_a_part_of_speech_are_told_apart_by_xpos_or_else_by_features() -> None:
    features = ("_", "Number=Plur")
    assert finer_column({"upos": ("NOUN", "VERB"), "xpos": ("NN", "NNS"), "feats": features}) == "xpos"
    assert finer_column({"upos": ("NOUN", "VERB"), "xpos": ("_",), "feats": features}) == "feats"


def test_the_most_frequent_lemma_of_a_word_counts_and_of_equals_the_first_by_spelling() -> None:
    assert learned().lemma("axes", *NOUN, [KEEP]) == "axe"
    (word,) = {word for word, _ in LEARNED if word.form == "axes"}
    assert learn_lemmatizer([(word, "axis"), (word, "axe")], LABELS).lemma(*word, [KEEP]) == "axe"


@pytest.mark.parametrize(
    ("rules", "lemmas"),
    [
        ([BE, S, ES], {"doges": "doge"}),
        ([BE, BE, ES], {"doges": "dog"}),
        ([S, LOWER, KEEP], {"S": "s"}),  # of one character, nothing would be left
        ([S, ES, BE], {"S": "S"}),  # no rule fits
        ([], {"Doges": "Doges"}),
        ([BE], {"is": "be", "Is": "be", "IS": "be"}),  # an irregular lemma is given to its own forms alone
        ([BE, KEEP], {"are": "are", "iss": "iss", "i": "i"}),
    ],
)
def test_a_rule_that_does_not_fit_is_passed_over_for_the_next_best(rules, lemmas) -> None:
    lemmatizer = learned()
    assert {form: lemmatizer.lemma(form, "VERB", "_", rules) for form in lemmas} == lemmas
    assert (lemmatizer.by_rule("doges", BE), lemmatizer.by_rule("doges", ES)) == (None, "dog")


def test_weights_choose_among_the_lemmas_by_rules_and_of_the_lexicon() -> None:
    plain = learned(NOUN={"lower|end-1+": ["doses"]})
    assert plain.candidates("Boxes", "NOUN", [ES, KEEP, LOWER], 2) == {
        "box": {"NOUN first lower": 1.0, "rule 1": 1.0, "odds": 2, "known": 1.0},
        "Boxes": {"NOUN first first": 1.0, "rule 2": 1.0, "known": 0.0},
        "boxes": {"NOUN first lower": 1.0, "rule 3": 1.0, "known": 0.0},
    }
    of_lexicon_alone = {"dose": {"listed": 1.0, "listed so": 1.0, "known": 0.0}}
    assert plain.candidates("DOSES", "NOUN", [BE], 0) == of_lexicon_alone
    for weights, lemma in (
        ({"rule 1": 1.0}, "box"),
        ({"rule 3": 1.0}, "boxes"),
        ({"rule 3": 1.0, "odds": 0.6}, "box"),
        ({"rule 1": 1.0, "NOUN first first": 1.5}, "Boxes"),
        ({"rule 1": 1.0, "VERB first first": 1.5}, "box"),
        ({"rule 3": 1.0, "known": 1.5}, "box"),
    ):
        assert plain.with_weights(weights).lemma("Boxes", "NOUN", "_", [ES, KEEP, LOWER], 2) == lemma, weights
    assert plain.with_weights({"rule 1": 1.0, "listed": 0.5}).lemma("Doses", "NOUN", "_", [ES, S]) == "dos"
    assert plain.with_weights({"rule 1": 1.0, "listed": 1.5}).lemma("Doses", "NOUN", "_", [ES, S]) == "dose"
    assert plain.with_weights({"known": -9.0}).lemma("boxes", *NOUN, [KEEP]) == "box", "the dictionary is before them"


def test_how_a_word_is_written() -> None:
    found = [casing(text) for text in ("mice", "½", "", "I", "Mice", "NASA", "iPod")]
    assert found == ["lower", "lower", "lower", "first", "first", "upper", "mixed"]


def test_odds_are_few_integers() -> None:
    assert [odds(p) for p in (0.0, 0.1, 0.5, 0.7, 0.95, 1.0)] == [-7, -2, 0, 1, 3, 7]


@pytest.mark.parametrize("form", UNCHANGED)
@given(rules=st.permutations([S, ES, BE, N_TO_Y, PUT]), upos=st.sampled_from(["NOUN", "VERB", "SYM", "NUM"]))
def test_a_form_with_a_character_that_no_changing_rule_has_seen_keeps_its_characters(
    form: str, rules: list[int], upos: str
) -> None:
    assert learned().lemma(form, upos, "_", rules[:RULES_TRIED]) == form


@pytest.mark.parametrize("form", ["2005", "21", "1990", "½1", "--"])
@given(rules=st.permutations([S, ES, BE, N_TO_Y, PUT]))
def test_a_form_without_letters_keeps_its_characters_even_if_rules_have_seen_them(form: str, rules: list[int]) -> None:
    seen = [(TaggedWord("0123456789½-xs", "NOUN", "_"), "0123456789½-x")]
    lemmatizer = learn_lemmatizer(seen * 3, LABELS)
    assert lemmatizer.lemma("19xs", *NOUN, [S]) == "19x"
    assert lemmatizer.lemma(form, *NOUN, rules[:RULES_TRIED]) == form


# No token, and no word of a lexicon, has a line break.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=6).map(normalize_form)
TAGS = st.text("ABab=|", min_size=1, max_size=4)
WORDS = st.lists(st.tuples(st.builds(TaggedWord, TEXTS, TAGS, TAGS), TEXTS), max_size=8)
LEXICONS = st.dictionaries(
    TAGS, st.dictionaries(TEXTS.map(str.lower).map(normalize_form), TEXTS, max_size=3), max_size=2
)


def labels_of_all(words: list[tuple[TaggedWord, str]]) -> list[str]:
    return sorted({label for word, lemma in words for label in labels_of(word.form, lemma)}) or ["keep"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=WORDS, lexicon=LEXICONS, others=st.lists(st.builds(TaggedWord, TEXTS, TAGS, TAGS), max_size=3))
def test_what_is_learned_is_written_and_read_as_it_was(
    tmp_path: Path, words: list[tuple[TaggedWord, str]], lexicon: dict[str, dict[str, str]], others: list[TaggedWord]
) -> None:
    labels = labels_of_all(words)
    listed: dict[str, dict[str, list[str]]] = {}
    for upos, lemmas in lexicon.items():
        for form, lemma in lemmas.items():
            listed.setdefault(upos, {}).setdefault(labels_of(form, lemma)[0], []).append(form)
    first = learn_lemmatizer(words, labels).with_lexicon(listed).with_weights({"rule 1": 0.5, "known": -0.25})
    path = tmp_path / "lemmas.json"
    first.write(path)
    second = Lemmatizer.parse(path.read_bytes(), labels)
    assert second._weights == {"rule 1": 0.5, "known": -0.25}
    for word in (*(word for word, _ in words), *others):
        for rule in range(len(labels)):
            assert first.lemma(*word, [rule]) == second.lemma(*word, [rule])
            assert first.by_rule(word.form, rule) == second.by_rule(word.form, rule)
    for upos, lemmas in lexicon.items():
        for form, lemma in lemmas.items():
            assert second._lexicon.find(form, upos) == lemma


@given(words=WORDS)
def test_without_the_dictionary_a_rule_of_a_word_makes_its_lemma(words: list[tuple[TaggedWord, str]]) -> None:
    """The characters and the irregular forms that are learned stop no rule of a word that it was learned of."""
    labels = labels_of_all(words)
    lemmatizer = learn_lemmatizer(words, labels)
    for word, lemma in words:
        if any(map(str.isalpha, word.form)):
            for label in labels_of(word.form, lemma):
                assert lemmatizer.by_rule(word.form, labels.index(label)) == lemma


WRITTEN: dict[str, Any] = {"characters": "ab", "irregular": {}, "lexicon": {}, "dictionary": {}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `characters`"),
        (WRITTEN | {"more": {}}, "contains unknown field `more`"),
        (WRITTEN | {"lexicon": {"NOUN": {"lower": [1]}}}, r"Expected `str`, got `int` - at `\$.lexicon"),
        (WRITTEN | {"lexicon": {"NOUN": {"upside": ["a"]}}}, "no lemma rule is 'upside'"),
        (WRITTEN | {"dictionary": {"NOUN": {}}}, "by UPOS and a tag with a tab between them, not by 'NOUN'"),
        (WRITTEN | {"dictionary": {"NOUN\tNNS\t_": {}}}, "a tab between them, not by"),
        (WRITTEN | {"irregular": {"be": ["\ud800"]}}, "truncated|surrogate"),
        (WRITTEN | {"irregular": {"be": "is"}}, "Expected `array`, got `str`"),
        (b"\xff", "JSON is malformed"),
    ],
)
def test_content_that_cannot_be_used_is_refused_with_its_reason(content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lemmatizer.parse(content if isinstance(content, bytes) else json.dumps(content).encode(), LABELS)
    with pytest.raises(ValueError, match="no lemma rule is 'NOUN'"):
        Lemmatizer.parse(json.dumps(WRITTEN).encode(), ["lower", "NOUN"])


def test_variants_of_a_form_have_its_lemma() -> None:
    """Canonically equivalent ones, and those with other apostrophes, by the dictionary, the lexicon and rules."""
    dictionary = {"PRON\t_": {"L'": "le", "n’": "ne"}}
    content = LemmaFile("abcdeéno's", {"avoir": ["d’eues"]}, {"NOUN": {"=été": ["l’été"]}}, dictionary)
    lemmatizer = Lemmatizer(["lower", "=avoir", "lower|end-1+"], content)
    assert lemmatizer.lemma("L’", "PRON", "_", [0]) == "le"
    assert lemmatizer.lemma("n'", "PRON", "_", [0]) == lemmatizer.lemma("n’", "PRON", "_", [0]) == "ne"
    assert lemmatizer.lemma(unicodedata.normalize("NFD", "L'été"), "NOUN", "_", [0]) == "été"
    assert lemmatizer.lemma("d'eues", "VERB", "_", [1]) == "avoir"
    assert lemmatizer.lemma(unicodedata.normalize("NFD", "données"), "ADJ", "_", [2]) == "donnée"
    assert lemmatizer.lemma("\u00ad", "X", "_", [0]) == "\u00ad"


def test_a_form_counts_with_its_variants() -> None:
    words = [(TaggedWord("’s", "AUX", "_"), "have")] * 2 + [(TaggedWord("'s", "AUX", "_"), "be")] * 3
    lemmatizer = learn_lemmatizer(words, ["lower"])
    assert {lemmatizer.lemma(form, "AUX", "_", [0]) for form in ("’s", "'s")} == {"be"}
