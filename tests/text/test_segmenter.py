"""What a tokenizer has learned: its file, its features, and what it makes of a text."""

import json
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.text.interruptible import finish
from service.text.languages import named_tokenizer
from service.text.normalization import normalize
from service.text.segmenter import Classifier, PossibleEnds, Segmenter
from service.text.tokenizer import Tokenizer, in_case_of
from service.text.tokens import TokenSpan
from training.run.version_folder import write_segmenter

# Splits before "-" and ".", and nowhere else; ends a sentence after "Fin" alone.
HYPHENS = Classifier(-1.0, {"right1=-": 2.0, "right1=.": 2.0})
CLITICS = Classifier(-1.0, {"right2=-l": 2.0})
ENDS = Classifier(-1.0, {"before=fin": 2.0})
DU = Classifier(-1.0, {"after=pain": 2.0})
LEARNED = Segmenter(HYPHENS, CLITICS, ENDS, {"du": ("de", "le"), "aux": ("à", "les")}, {"du": DU})
FRENCH = named_tokenizer("spacy-fr")
TOKENIZER = Tokenizer(FRENCH.rules, LEARNED)


def split(tokenizer: Tokenizer, text: str) -> str:
    """Returns the tokens of a text, with "|" between sentences."""
    return " | ".join(" ".join(token.text for token in sentence.tokens) for sentence in tokenizer.sentences(text))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("donne-la vite", "donne -la vite"),
        ("Oui. Fin Non. Si", "Oui . Fin | Non . Si"),
        ("du pain", "de le pain"),  # decided by its neighbours
        ("du vin", "du vin"),
    ],
)
def test_a_text_is_split_where_the_classifiers_say_and_nowhere_else(text: str, sentences: str) -> None:
    assert split(TOKENIZER, text) == sentences


def test_the_words_of_a_token_continue_it_and_have_its_offsets_if_they_are_no_parts_of_it() -> None:
    (sentence,) = TOKENIZER.sentences("Aux donne-la")
    continued = TokenSpan("les", 0, 3, continues=True), TokenSpan("-la", 9, 12, continues=True)
    assert sentence.tokens == (TokenSpan("À", 0, 3), continued[0], TokenSpan("donne", 4, 9), continued[1])
    assert (sentence.start, sentence.end) == (0, 12)


def test_the_rules_decide_what_has_no_classifier() -> None:
    text = "L'eau coule. Elle est froide, dit-il."
    assert Tokenizer(FRENCH.rules, Segmenter()).sentences(text) == FRENCH.sentences(text)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Fin Art. Non", "Fin | Art. Non"),
        ("(ART., Non", "(ART. , Non"),
        ("etc. Non", "etc. | Non"),
        ("Oui. Non", "Oui . | Non"),
        ("art.\n\nNon", "art. | Non"),
    ],
)
def test_an_abbreviation_keeps_its_full_stop_and_may_be_one_that_ends_no_sentence(text: str, sentences: str) -> None:
    everywhere = Classifier(1.0, {"before=fin": 1.0, "before=(art.": -9.0, "before=,": -9.0})
    stops = Classifier(-1.0, {"right1=.": 2.0, "right1=,": 2.0})
    known = Segmenter(stops, None, everywhere, abbreviations={"art.": False, "(art.": True, "etc.": True})
    assert split(Tokenizer(FRENCH.rules, known), text) == sentences


def test_capitals_are_kept() -> None:
    words = ("de", "le")
    assert [in_case_of(token, words) for token in ("du", "Du", "DU")] == [words, ["De", "le"], ["DE", "LE"]]


@given(st.text(st.sampled_from("aÀ1-. \n\t\u3000犬😀\u200d'’du"), max_size=300))
@example("Donne-la du pain. Fin Aux armes")
def test_no_token_is_blank_and_all_of_the_text_is_in_one(text: str) -> None:
    sentences = TOKENIZER.sentences(text)
    tokens = [token for sentence in sentences for token in sentence.tokens]
    assert tokens == TOKENIZER.tokens(text)
    assert [normalize(token.text) for token in tokens] == finish(TOKENIZER.words(text))
    assert all(token.text.strip() and token.start < token.end for token in tokens)
    covered = {i for token in tokens for i in range(token.start, token.end)}
    assert covered == {i for i, character in enumerate(text) if not character.isspace()}
    assert all(a.end <= b.start or (a.start, a.end) == (b.start, b.end) for a, b in pairwise(tokens))


def test_a_file_is_read_as_it_was_written_and_what_would_not_be_read_is_not_written(tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(ValueError, match="the ending 'iéndonoslas' has more than 10 characters"):
        write_segmenter(path, Segmenter(endings={"iéndonoslas": ("iendo", "nos", "las")}))
    assert not any(tmp_path.iterdir())
    write_segmenter(path, LEARNED)
    assert Segmenter.parse(path.read_bytes()) == LEARNED


def test_a_long_chunk_is_split_interruptibly() -> None:
    assert sum(1 for _ in TOKENIZER.split("a-b" * 3000)) > 200


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "Expected `object`, got `array`"),
        ({"other": 1}, "contains unknown field `other`"),
        ({"ends": {"bias": 1}}, r"missing required field `weights` - at `\$.ends`"),
        ({"ends": {"bias": 1, "weights": {"a": None}}}, r"Expected `float`, got `null` - at `\$.ends.weights"),
        ({"multiwords": {"du": ["\ud800"]}}, "truncated|surrogate"),
        ({"multiwords": {"du": ["de"]}}, "'du' is not a list of two words or more"),
        ({"multiwords": {"du": ["de", " "]}}, "'du' is not a list of two words or more"),
        ({"choices": {"du": {"bias": 1, "weights": {}}}}, "each of the choices of a tokenizer is one of its multi"),
    ],
)
def test_a_file_that_is_wrong_says_so(content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Segmenter.parse(json.dumps(content).encode())


def test_a_sentence_may_end_anywhere_but_before_a_small_letter_after_one_space() -> None:
    def between(before: str, gap: int, after: str) -> bool:
        end = len(before) + gap
        tokens = [TokenSpan(before, 0, len(before)), TokenSpan(after, end, end + len(after))]
        return PossibleEnds(before + " " * gap + after, tokens, ()).indices == [1]

    assert [between("a", 1, "b"), between("a", 0, "B")] == [False, False]
    assert all([between(".", 1, "b"), between("a", 1, "B"), between("a", 2, "b"), between("。", 0, "犬")])


def test_a_blank_line_ends_a_sentence_whatever_is_learned() -> None:
    never = Tokenizer(FRENCH.rules, Segmenter(ends=Classifier(-1.0, {})))
    text = "Un titre\n\nUne ligne. Une\nautre\r\n \r\nfin"
    assert split(never, text) == "Un titre | Une ligne . Une autre | fin"
