"""Where sentences end."""

import pytest

from service.text.spacy_tokenizer import SpacyTokenizer

TOKENIZER = SpacyTokenizer()


def sentences(text: str) -> list[str]:
    return [text[sentence.start : sentence.end] for sentence in TOKENIZER.sentences(text)]


@pytest.mark.parametrize(
    "marked",
    [
        "One. |Two! |Three? |Four",
        "He came. |she left. |3 stayed.",  # nobody types capitals everywhere
        "Mr. Smith went to Washington, D.C. on Jan. 3 at 5 p.m. sharp.",
        "Wait... what? |Well... |Then go.",
        '"Really?" she asked. |"Yes." |He left.',
        "(It rained.) |We stayed in.",
        "1. First comes this. |2. Then that.",
        "Thanks! :) |See you soon.",
        "I love it 🙂 |So good 👩\u200d👩\u200d👧 |We go 👍🏽 |They too.",
        "What?! |No way!!! |Sure.",
        "It is I. |Do not go.",
        "One line\nand its next line.",
        "A title\n\n|A paragraph.",
        "A title\r\n\r\n|A paragraph.",
        "A title \n \t\n|A paragraph.",
        "==========\n|Under",
        "It ended.|The next one began?|yes.",
        "これは文です。|次の文です。",
        "यह एक वाक्य है। |दूसरा वाक्य।",
        "Visit example.org, then. |Ask a.b@c.org!",
    ],
)
def test_ends(marked: str) -> None:
    assert sentences(marked.replace("|", "")) == [sentence.strip() for sentence in marked.split("|")]
