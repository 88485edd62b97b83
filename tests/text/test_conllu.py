import conllu
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.text.conllu import write_sentence
from service.text.interruptible import finish
from service.text.languages import make_tokenizer
from service.text.segmenter import Segmenter
from service.text.tokenizer import Tokenizer
from tests.pipelines.ud_validity import check

TOKENIZER = Tokenizer()
FEATURES = {"Foreign": "Yes", "Number": "Sing"}


def write(
    text: str, tokenizer: Tokenizer = TOKENIZER, *, chain: bool = False, sources: dict[int, str] | None = None
) -> str:
    """Returns the sentences of a text as CoNLL-U."""
    found: list[bytes] = []
    for i, sentence in enumerate(tokenizer.sentences(text)):
        columns = [("X", "FW", FEATURES, None)] * len(sentence.tokens)
        places = range(len(text) + 1)
        found += finish(
            write_sentence({"sent_id": str(i)}, text, sentence.tokens, columns, places, chain=chain, sources=sources)
        )
    return b"".join(found).decode()


def read(file: str) -> list[tuple[object, str, dict[str, str] | None]]:
    """Returns the id, the form and MISC of each token of the only sentence."""
    (sentence,) = conllu.parse(file)
    return [(token["id"], token["form"], token["misc"]) for token in sentence]


def test_multiword_tokens_have_a_line_before_their_words():
    file = write('"I can\'t," she said.', sources={1: "dictionary", 3: "dictionary"})
    assert read(file)[:6] == [
        (1, '"', {"SpaceAfter": "No", "TokenRange": "0:1"}),
        (2, "I", {"TokenRange": "1:2", "Source": "dictionary"}),
        ((3, "-", 4), "can't", {"SpaceAfter": "No", "TokenRange": "3:8"}),
        (3, "ca", None),
        (4, "n't", {"Source": "dictionary"}),
        (5, ",", {"SpaceAfter": "No", "TokenRange": "8:9"}),
    ]
    (sentence,) = conllu.parse(file)
    assert sentence.metadata == {"sent_id": "0", "text": '"I can\'t," she said.'}
    assert sentence[1]["feats"] == FEATURES


@given(st.text(st.sampled_from("ab'n't. \n\té"), max_size=40).filter(str.strip))
def test_a_long_sentence_is_written_in_chunks_as_a_short_one_is_in_one(text):
    at_once = write(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.text.conllu._TOKENS_AT_ONCE", 1)
        assert write(text) == at_once


def test_words_that_are_not_parts_of_the_text_stand_below_their_token():
    tokenizer = make_tokenizer("spacy-fr", Segmenter(multiwords={"du": ("de", "le")}))
    file = write("Du pain, du vin.", tokenizer, chain=True)
    assert read(file)[:4] == [
        ((1, "-", 2), "Du", {"TokenRange": "0:2"}),
        (1, "De", None),
        (2, "le", None),
        (3, "pain", {"SpaceAfter": "No", "TokenRange": "3:7"}),
    ]
    assert check(file, has_heads=True) == ["Du pain, du vin."]
