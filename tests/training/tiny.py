"""Tasks small enough to learn by heart: a treebank of twenty sentences, twenty opinions, a verse, twenty words."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from service.artifact.manifest import DataSource
from training.data.sst import Phrase
from training.data.treebank import Tree, Word
from training.models.language_model import LanguageModelSizes
from training.models.lemmatizer import LemmatizerSizes
from training.models.sentiment import SentimentSizes
from training.models.tagger import TaggerSizes
from training.tasks.language_modelling import LanguageModelling, LanguageModelRecipe, cut
from training.tasks.lemmatization import Lemmatization, LemmatizationRecipe
from training.tasks.sentiment import Sentiment, SentimentRecipe
from training.tasks.tagging import Tagging, TaggingRecipe

SOURCE = DataSource(name="tiny", address="https://example.org/tiny", sha256="0" * 64, licence="CC0")
COMMON: dict[str, Any] = {"language": "en", "licence": "CC0", "corpus": "tiny"}
NOUNS = ["dog", "cat", "bird", "Child", "teacher"]
VERBS = ["sees", "feeds", "likes", "finds"]
WORDS = {"awful": -2, "weak": -1, "fine": 1, "lovely": 2, "long": 0}
VERSE = "What immortal hand or eye,\nCould frame thy fearful symmetry?\n"
LEMMAS = {"houses": "house", "boxes": "box", "mice": "mouse", "cities": "city", "Dogs": "dog"}  # plural nouns
PAST = {"went": "go", "saw": "see", "cried": "cry", "Played": "play", "taken": "take"}


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


def conllu(trees: Iterable[Tree]) -> str:
    """Returns sentences as a file has them, without XPOS and lemmas."""
    lines = []
    for tree in trees:
        lines += [f"{i}\t{w.form}\t_\t{w.upos}\t_\t{w.feats}\t_\t_\t_\t_" for i, w in enumerate(tree.words, start=1)]
        lines.append("")
    return "\n".join(lines) + "\n"


@cache
def treebank() -> dict[str, list[Tree]]:
    """Returns the splits: train and dev alike; in test, words that they have not."""
    sentences = [sentence(i) for i in range(20)]
    unseen = Tree((Word("A", "DET", "DT", "Definite=Ind"), Word("heron", "NOUN", "NN", "Number=Sing")))
    return {"train": sentences, "dev": sentences, "test": [*sentences[:4], unseen]}


def tagging(**changes: Any) -> Tagging:
    """Returns a tagger; arguments change its recipe."""
    settings: dict[str, Any] = {
        "name": "tagger-tiny",
        "description": "Tags twenty sentences",
        "limits": "Twenty sentences.",
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
    return Tagging(TaggingRecipe(**(COMMON | settings | changes)), treebank(), (SOURCE,))


def sentences() -> list[list[Phrase]]:
    """Returns twenty sentences, half of them turned round by "not": the words alone do not tell."""
    trees = []
    for word, worth in WORDS.items():
        for noun in ("film", "plot"):
            trees.append([Phrase((word,), 2 + worth), Phrase(("A", word, noun), 2 + worth)])
            trees.append([Phrase((word,), 2 + worth), Phrase(("Not", "a", word, noun, "."), 2 - worth)])
    return trees


def sentiment(**changes: Any) -> Sentiment:
    """Returns a classifier; arguments change its recipe."""
    settings: dict[str, Any] = {
        "name": "sentiment-tiny",
        "description": "Tells whether twenty sentences are positive",
        "limits": "Twenty sentences.",
        "epochs": 30,
        "batch_tokens": 24,
        "learning_rate": 0.02,
        "word_dropout": 0.0,
        "sizes": SentimentSizes(embedding=12, units=12, input_dropout=0.0, output_dropout=0.0),
    }
    trees = sentences()
    return Sentiment(
        SentimentRecipe(**(COMMON | settings | changes)), {"train": trees, "dev": trees, "test": trees}, (SOURCE,)
    )


def language_model(text: str = VERSE * 8, **changes: Any) -> LanguageModelling:
    """Returns a language model of a text; arguments change its recipe."""
    settings: dict[str, Any] = {
        "name": "lm-tiny",
        "description": "Says a verse",
        "limits": "One verse.",
        "epochs": 60,
        "batch_tokens": 64,
        "chunk": 16,
        "learning_rate": 0.02,
        "sizes": LanguageModelSizes(embedding=8, units=32, layers=2, inner_dropout=0.0, output_dropout=0.0),
    }
    recipe = LanguageModelRecipe(**(COMMON | settings | changes))
    return LanguageModelling(recipe, cut([text], recipe), (SOURCE,))


def inflected_words() -> list[Tree]:
    """Returns twenty words, each a sentence: nouns and verbs that change, and others that do not."""
    words = [Word(form, "NOUN", "NNS", "Number=Plur", lemma) for form, lemma in LEMMAS.items()]
    words += [Word(form, "VERB", "VBD", "Tense=Past", lemma) for form, lemma in PAST.items()]
    words += [Word(form, "PROPN", "NNP", "Number=Sing", form) for form in ("Anna", "Baton", "Rome", "NASA", "Xu")]
    words += [Word(form, "ADV", "RB", "_", form.lower()) for form in ("Often", "soon", "Here", "now", "Too")]
    return [Tree((word,)) for word in words]


def lemmatization(**changes: Any) -> Lemmatization:
    """Returns a lemmatizer; arguments change its recipe."""
    settings: dict[str, Any] = {
        "name": "lemmas-tiny",
        "description": "Spells twenty lemmas",
        "limits": "Twenty words.",
        "tagger": "tagger-tiny",
        "symbol_count": 1,
        "tag_dropout": 0.0,
        "epochs": 60,
        "batch_tokens": 60,
        "learning_rate": 0.01,
        "schedule": "constant",
        "sizes": LemmatizerSizes(embedding=12, units=32, dropout=0.0),
    }
    words = inflected_words()
    return Lemmatization(
        LemmatizationRecipe(**(COMMON | settings | changes)), {"train": words, "dev": words, "test": words}, (SOURCE,)
    )
