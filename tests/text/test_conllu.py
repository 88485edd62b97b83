import conllu
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.text.conllu import Columns, write_sentence
from service.text.languages import make_tokenizer
from service.text.segmenter import Segmenter
from service.text.slices import Sliced, finish
from service.text.spacy_tokenizer import SpacyTokenizer
from tests.pipelines.ud_validity import check

TOKENIZER = SpacyTokenizer()


def whole(pieces: Sliced[list[bytes]]) -> str:
    return b"".join(finish(pieces)).decode()


def write(text: str, *, chain: bool = False) -> str:
    columns: Columns = "X", "FW", {"Foreign": "Yes", "Number": "Sing"}, None
    blocks = [
        whole(
            write_sentence(
                {"sent_id": str(i)}, text, s.tokens, [columns] * len(s.tokens), range(len(text) + 1), chain=chain
            )
        )
        for i, s in enumerate(TOKENIZER.sentences(text))
    ]
    return "".join(blocks)


def test_multiword_tokens_have_a_line_before_their_words():
    (sentence,) = conllu.parse(write('"I can\'t," she said.'))
    ids = [(token["id"], token["form"], token["misc"]) for token in sentence]
    assert ids[:6] == [
        (1, '"', {"SpaceAfter": "No", "TokenRange": "0:1"}),
        (2, "I", {"TokenRange": "1:2"}),
        ((3, "-", 4), "can't", {"SpaceAfter": "No", "TokenRange": "3:8"}),
        (3, "ca", None),
        (4, "n't", None),
        (5, ",", {"SpaceAfter": "No", "TokenRange": "8:9"}),
    ]
    assert sentence.metadata == {"sent_id": "0", "text": '"I can\'t," she said.'}
    assert sentence[1]["feats"] == {"Foreign": "Yes", "Number": "Sing"}


@given(st.text(st.sampled_from("ab'’n't. \n\t#_|=-1\u2028\x0c\u200bé🙂"), max_size=40).filter(str.strip))
def test_whatever_the_text_the_shared_task_reads_it(text):
    file = write(text, chain=True)
    texts = check(file, has_heads=True)
    assert "".join("".join(texts).split()) == "".join(text.split())
    assert len(conllu.parse(file)) == len(texts)


@given(st.text(st.sampled_from("ab'n't. \n\té"), max_size=40).filter(str.strip))
def test_a_long_sentence_is_written_in_pieces_as_a_short_one_is_in_one(text):
    at_once = write(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.text.conllu._AT_ONCE", 1)
        assert write(text) == at_once


def test_the_source_of_tags_is_named_also_of_a_word_within_a_token():
    (sentence,) = TOKENIZER.sentences("I can't")
    columns: list[Columns] = [("X", "X", {}, None)] * 3
    pieces = write_sentence(
        {}, "I can't", sentence.tokens, columns, range(8), sources={0: "dictionary", 2: "dictionary"}
    )
    (found,) = conllu.parse(whole(pieces))
    assert [(token["id"], token["misc"]) for token in found] == [
        (1, {"TokenRange": "0:1", "Source": "dictionary"}),
        ((2, "-", 3), {"TokenRange": "2:7"}),
        (2, None),
        (3, {"Source": "dictionary"}),
    ]


def test_words_that_are_not_parts_of_the_text_stand_below_their_token():
    tokenizer = make_tokenizer("spacy-fr", Segmenter(multiwords={"du": ("de", "le")}))
    text = "Du pain, du vin."
    (found,) = finish(tokenizer.split(text))
    columns: list[Columns] = [("X", "X", {}, None)] * len(found.tokens)
    written = whole(write_sentence({"sent_id": "1"}, text, found.tokens, columns, range(len(text) + 1), chain=True))
    (sentence,) = conllu.parse(written)
    assert [(token["id"], token["form"], token["misc"]) for token in sentence][:4] == [
        ((1, "-", 2), "Du", {"TokenRange": "0:2"}),
        (1, "De", None),
        (2, "le", None),
        (3, "pain", {"SpaceAfter": "No", "TokenRange": "3:7"}),
    ]
    assert check(written, has_heads=True) == [text]
