"""A treebank of twenty sentences, small enough to learn by heart."""

from collections.abc import Callable
from typing import Any

import pytest

from service.artifact import DataSource
from training.conllu import Tree, Word
from training.models.tagger import TaggerSizes
from training.tasks.tagging import Tagging, TaggingRecipe

NOUNS = ["dog", "cat", "bird", "Child", "teacher"]
VERBS = ["sees", "feeds", "likes", "finds"]


def sentence(i: int) -> Tree:
    """Returns a sentence of 4 to 7 words, each one another."""
    noun = ("NOUN", "NN", "Number=Sing")
    words = [
        Word("the", "DET", "DT", "Definite=Def"),
        Word(NOUNS[i % 5], *noun),
        Word(VERBS[i % 4], "VERB", "VBZ", "Tense=Pres"),
        Word(NOUNS[(i + 2) % 5], *noun),
        *[Word("very", "ADV", "RB", "_")] * (i % 3),
        *[Word("today", "NOUN", "NN", "_")] * (i % 2),
    ]
    return Tree(tuple(words))


@pytest.fixture(scope="session")
def tagging() -> Callable[..., Tagging]:
    """Makes tiny taggers; arguments change the recipe."""
    sentences = [sentence(i) for i in range(20)]
    unseen = Tree((Word("A", "DET", "DT", "Definite=Ind"), Word("heron", "NOUN", "NN", "Number=Sing")))
    splits = {"train": sentences, "dev": sentences, "test": [*sentences[:4], unseen]}
    source = DataSource(name="tiny", address="https://example.org/tiny", sha256="0" * 64, licence="CC0")

    def make(**changes: Any) -> Tagging:
        settings: dict[str, Any] = {
            "name": "tagger-tiny",
            "description": "Tags twenty sentences",
            "language": "en",
            "licence": "CC0",
            "limits": "Twenty sentences.",
            "corpus": "tiny",
            "tokenizer": "spacy-en",
            "epochs": 2,
            "batch_tokens": 40,
            "learning_rate": 0.02,
            "word_count": 1,
            "sizes": TaggerSizes(
                word_embedding=8,
                character_embedding=4,
                character_units=4,
                units=12,
                input_dropout=0.1,
                output_dropout=0.1,
            ),
        }
        return Tagging(TaggingRecipe(**(settings | changes)), splits, (source,))

    return make
