"""Tasks small enough to overfit in seconds: sentences, labelled texts, translations or scenes, and a verse."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from rich.console import Console

from service.artifact.manifest import DataSource
from service.text.languages import named_tokenizer
from service.text.segmenter import Segmenter
from service.text.tokenizer import Tokenizer
from training.course.data.digit_scenes import Scenes
from training.course.models.captioner import CaptionerSizes
from training.course.models.translator import EncoderDecoderSizes
from training.course.tasks.captioning import Captioning, CaptioningRecipe
from training.course.tasks.translation import Translation, TranslationRecipe
from training.data.lexicon import Lexicon
from training.data.sst import Phrase
from training.data.translations import Pair
from training.data.treebank import Tree, Word
from training.models.language_model import LanguageModelSizes
from training.models.sentiment import SentimentSizes
from training.models.tagger import TaggerSizes
from training.run.loop import load_best, train
from training.tasks.base import Task
from training.tasks.language_modelling import LanguageModelling, LanguageModelRecipe, divide
from training.tasks.sentiment import Sentiment, SentimentRecipe
from training.tasks.tagging import Tagging, TaggingRecipe

SOURCE = DataSource(name="tiny", address="https://example.org/tiny", sha256="0" * 64, licence="CC0")
T = TypeVar("T")
COMMON: dict[str, Any] = {"language": "en", "licence": "CC0", "description": "A tiny task", "limits": "It is tiny."}
TAGGER = TaggingRecipe(
    **COMMON,
    name="tagger-tiny",
    corpus="tiny",
    tokenizer="spacy-en",
    lemmas=True,
    epochs=2,
    batch_tokens=40,
    learning_rate=0.02,
    word_count=1,
    sizes=TaggerSizes(
        word_embedding=8, character_embedding=4, character_units=4, units=12, input_dropout=0.1, output_dropout=0.1
    ),
)
CLASSIFIER = SentimentRecipe(
    **COMMON,
    name="sentiment-tiny",
    corpus="tiny",
    epochs=30,
    batch_tokens=24,
    learning_rate=0.02,
    word_dropout=0.0,
    sizes=SentimentSizes(embedding=12, units=12, input_dropout=0.0, output_dropout=0.0),
)
LANGUAGE_MODEL = LanguageModelRecipe(
    **COMMON,
    name="lm-tiny",
    corpus="tiny",
    epochs=60,
    batch_tokens=64,
    chunk=16,
    learning_rate=0.02,
    sizes=LanguageModelSizes(embedding=8, units=32, layers=2, inner_dropout=0.0, output_dropout=0.0),
)
CAPTIONER = CaptioningRecipe(
    **COMMON, name="captioning-tiny", shipped=False, epochs=5, scenes=1000, batch_tokens=240, learning_rate=0.02
)
TRANSLATOR = TranslationRecipe(
    **COMMON,
    name="translation-tiny",
    corpus="tiny",
    subwords=150,
    longest=20,
    epochs=60,
    batch_tokens=40,
    learning_rate=0.01,
    schedule="constant",
    shipped=False,
    sizes=EncoderDecoderSizes(embedding=12, units=32, dropout=0.0),
)
NOUNS = ["dog", "cat", "bird", "Child", "teacher"]
VERBS = ["sees", "feeds", "likes", "finds"]
WORDS = {"awful": -2, "weak": -1, "fine": 1, "lovely": 2, "long": 0}
VERSE = "What immortal hand or eye,\nCould frame thy fearful symmetry?\n"
LEXICON = Lexicon(
    {"dog": ("noun",), "sees": ("verb",), "feeds": ("noun", "verb"), "heron": ("noun",)},
    SOURCE,
    {("geese", "noun"): "goose", ("sheep", "noun"): "sheep", ("mice", "noun"): "mousse", ("the", "det"): "the"},
)
THINGS = {"library": "bibliothèque", "server": "serveur", "tool": "outil", "game": "jeu", "font": "police"}
QUALITIES = {"small": "petit", "free": "libre", "fast": "rapide", "simple": "simple"}


def alike(examples: T) -> dict[str, T]:
    """Returns splits that have the same examples."""
    return dict.fromkeys(("train", "dev", "test"), examples)


def trained(task: Task, runs: Path) -> Any:
    """Trains a task with its checkpoints in a folder; returns the network of the best epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGWERK_RUNS_DIR", str(runs))
        train(task, Console(quiet=True))
        return load_best(task)


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
    """Returns sentences as a file has them, without XPOS."""
    lines = []
    for tree in trees:
        words = enumerate(tree.words, start=1)
        lines += [f"{i}\t{w.form}\t{w.lemma}\t{w.upos}\t_\t{w.feats}\t_\t_\t_\t_" for i, w in words]
        lines.append("")
    return "\n".join(lines) + "\n"


@cache
def treebank() -> dict[str, list[Tree]]:
    """Returns the splits: train and dev alike; in test, words that they have not."""
    sentences = [sentence(i) for i in range(20)]
    unseen = Tree((Word("A", "DET", "DT", "Definite=Ind"), Word("heron", "NOUN", "NN", "Number=Sing")))
    return {"train": sentences, "dev": sentences, "test": [*sentences[:4], unseen]}


def with_lemmas(tree: Tree) -> Tree:
    """Returns a sentence with the lemmas of its words."""
    words = (w._replace(lemma=(w.form.removesuffix("s") if w.upos == "VERB" else w.form).lower()) for w in tree.words)
    return Tree(tuple(words))


@cache
def treebank_with_lemmas() -> dict[str, list[Tree]]:
    """Returns the splits with lemmas; among them irregular ones, in test one that no rule of train makes, and none."""
    irregular = Tree(
        (
            Word("She", "PRON", "PRP", "_", "she"),
            Word("Is", "AUX", "VBZ", "Tense=Pres", "be"),
            Word("n't", "PART", "RB", "_", "not"),
        )
    )
    unseen = Tree((Word("mice", "NOUN", "NN", "Number=Sing", "mouse"), Word("xy", "NOUN", "NN", "_", "_")))
    splits = {split: [*map(with_lemmas, trees), *[irregular] * 3] for split, trees in treebank().items()}
    return splits | {"test": [*splits["test"], unseen]}


def tagging(lexicon: Lexicon | None = None, splits: dict[str, list[Tree]] | None = None, **changes: Any) -> Tagging:
    """Returns a tagger of the treebank, or of other splits; further arguments change its recipe."""
    return Tagging(replace(TAGGER, **changes), splits or treebank(), (SOURCE,), lexicon=lexicon)


def split_words(language: str, segmenter: Segmenter, text: str) -> list[str]:
    """Returns the words of a text by the rules of a language and what a treebank has taught."""
    sentences = Tokenizer(named_tokenizer(f"spacy-{language}").rules, segmenter).sentences(text)
    return [word.text for sentence in sentences for word in sentence.tokens]


def sentences() -> list[list[Phrase]]:
    """Returns twenty sentences, half of them negated by "not": the words alone do not separate the labels."""
    trees = []
    for word, worth in WORDS.items():
        for noun in ("film", "plot"):
            trees.append([Phrase((word,), 2 + worth, start=1), Phrase(("A", word, noun), 2 + worth)])
            trees.append([Phrase((word,), 2 + worth, start=2), Phrase(("Not", "a", word, noun, "."), 2 - worth)])
    return trees


def sentiment(
    trees: list[list[Phrase]] | None = None, others: dict[str, dict[str, Any]] | None = None, **changes: Any
) -> Sentiment:
    """Returns a classifier of the sentences, or of those given in each split; further arguments change its recipe.

    others: the splits of its other corpora, by name.
    """
    return Sentiment(replace(CLASSIFIER, **changes), alike(trees or sentences()), (SOURCE,), further=others)


def language_model(text: str = VERSE * 8, **changes: Any) -> LanguageModelling:
    """Returns a language model of a text; further arguments change its recipe."""
    recipe = replace(LANGUAGE_MODEL, **changes)
    return LanguageModelling(recipe, divide([text], recipe), (SOURCE,))


def captioning(attention: bool = True) -> Captioning:
    """Returns a captioner of twenty scenes."""
    sizes = CaptionerSizes(channels=(4, 8), embedding=16, units=48, dropout=0.0, attention=attention)
    return Captioning(replace(CAPTIONER, sizes=sizes), alike(list(Scenes("train", 20))))


def pairs() -> list[Pair]:
    """Returns twenty pairs, ten titles and ten paragraphs: what comes first in one language is last in the other."""
    texts = [(f"{q} {t}", f"{THINGS[t]} {QUALITIES[q]}") for t in THINGS for q in QUALITIES]
    titles = [Pair("title", f"{en} for all of us", f"{fr} pour nous tous") for en, fr in texts[::2]]
    return titles + [Pair("paragraph", f"This is a {en}.", f"C'est un {fr}.") for en, fr in texts[1::2]]


def translation() -> Translation:
    """Returns a translator of the pairs."""
    return Translation(TRANSLATOR, alike(pairs()))
