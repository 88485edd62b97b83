"""Tagged texts as CoNLL-U: what the validator of Universal Dependencies asks, of odd texts."""

import unicodedata
from collections.abc import Callable, Sequence
from itertools import product

import conllu
import pytest

from service.pipelines.formats import write_conllu
from service.pipelines.tagging import SplitText, TaggedText, joined_tokens, split_texts
from service.tasks.tagging import Tag
from service.text.interruptible import finish
from service.text.normalization import normalize
from tests.pipelines.test_tagging import tagger, tokenizer
from tests.pipelines.ud_validity import check

ODD = [
    "Don't!",
    "  leading and trailing\t\n ",
    "One paragraph. Two.\n\nAnother.\r\n\r\nA third; \n \n fourth",
    "tabs\tand\u00a0spaces\u2003of  many   kinds\u3000here",
    "line\u2028separators\u2029and\x0bothers\x0cof\x1call\x1dkinds\x1eas\x85well",
    "a\r\nb\rc\n\rd",
    "# text = looks like a comment\n# sent_id = 1\n1\tx\t_\t_",
    "_ | = - 1-2 1.1 \\s \\n SpaceAfter=No",
    "étaient l'été, ŝtelo, Ångström \u212b \u2126 \u0958 한국어 각",
    "e\u0301\u0323 x\u0338\u0338 \u0301start q\u0307\u0323",
    "soft\u00adhyphen \u00ad \ufeff word\u2060joiner \u200b zero\u200bwidth",
    "C'est l’eau d’aujourd’hui du port, au marché; « oui » dit-il à 26 000 gens (12\u202f500).",
    "Great 😀👍🏽 ❤️!! 👩\u200d👩\u200d👧 🇫🇷1️⃣ :) ♥",
    "我喜欢这部电影。 น้ำดี これは",
    "שלום, עולם! مرحبا؟ \u202eabc\u202c",
    "It is I. Do (8) 21–7 https://a.b/c_(d) dunk?#old 'Tis",
    "\x00\x01\x7f \ufffd \U0010ffff",
    "cannot can't've I'd've dogs' gonna",
    "x" * 300 + " " + "-" * 300,
    "...?!  (((]]] \"\"\" ''' ``",
    "a" + "\n" * 50 + "b",
    "",
    " \n ",
]
CHANGES: list[Callable[[str], str]] = [
    str,
    lambda text: unicodedata.normalize("NFD", text),
    str.upper,
    lambda text: text * 2,
    lambda text: text[1:-1],
    lambda text: text[::-1],
    lambda text: f"A plain one.\n{text}\nAnd another.",
]


def write(language: str, split: Sequence[SplitText], *, chain: bool = False) -> str:
    """Returns texts as CoNLL-U, with the same tags for each token."""
    tag = Tag("X", "_", {"Foreign": "Yes", "Number": "Sing"}, 0.5, "a\u0301 lemma")
    texts = [TaggedText(*text, [[tag] * len(s.tokens) for s in text.sentences]) for text in split]
    return b"".join(finish(write_conllu(tagger(language), texts, chain=chain))).decode()


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("chain", [False, True])
def test_odd_texts_are_valid(language: str, chain: bool) -> None:
    """Each as it is, decomposed, in capitals, twice, cut, in reverse order, and beside a plain one."""
    texts = [change(text) for text, change in product(ODD, CHANGES)]
    file = write(language, finish(split_texts(tokenizer(language), texts)), chain=chain)
    found = check(file, has_heads=chain)
    assert len(conllu.parse(file)) == len(found) > len(texts)
    assert "".join(normalize("".join(found)).split()) == "".join(normalize("".join(texts)).split())


def test_a_clients_own_tokens_are_valid() -> None:
    sentences = [["New\tYork", "is\n\n", "e\u0301"], ["  x  y  "], ["_", "#", "\u00a0z"]]
    file = write("en", finish(joined_tokens(sentences)))
    assert check(file, has_heads=False) == ["New York is é", "x y", "_ # z"]


def test_paragraphs_and_spaces_other_than_one() -> None:
    texts = ["One two.  \tThree\r\n\r\nFour\n five. ", "Six"]
    lines = write("en", finish(split_texts(tokenizer("en"), texts))).splitlines()
    assert [line for line in lines if line.startswith("# ")] == [
        "# generator = " + lines[0].removeprefix("# generator = "),
        *("# newdoc id = 1", "# sent_id = 1-1", "# text = One two."),
        *("# sent_id = 1-2", "# text = Three"),
        *("# newpar", "# sent_id = 1-3", "# text = Four five."),
        *("# newdoc id = 2", "# sent_id = 2-1", "# text = Six"),
    ]
    assert [line.split("\t")[9] for line in lines if line[:1].isdecimal()] == [
        "TokenRange=0:3",
        "SpaceAfter=No|TokenRange=4:7",
        r"SpacesAfter=\s\s\t|TokenRange=7:8",
        r"SpacesAfter=\r\n\r\n|TokenRange=11:16",
        r"SpacesAfter=\n\s|TokenRange=20:24",
        "SpaceAfter=No|TokenRange=26:30",
        "TokenRange=30:31",
        "TokenRange=0:3",
    ]
