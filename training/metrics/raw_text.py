"""Tagging from raw text, scored as in the CoNLL 2018 shared task: the service's sentences and tokens, then tags.

F1 of a column is `2 right / (treebank + system)`, where a word is right that spans the same characters and has the same
tag. Of the features, only the universal ones count, as in the shared task's script.

Zeman et al. (2018), CoNLL 2018 Shared Task: Multilingual Parsing from Raw Text to Universal Dependencies.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import NamedTuple

from service.artifact.manifest import Metric
from service.text.interruptible import finish
from service.text.tokenizer import Tokenizer
from service.text.tokens import SentenceSpan
from training.data.treebank import NOTHING, Tree, raw_text
from training.metrics.segmentation import WordKey, score, word_key

UNIVERSAL_FEATURES = frozenset(
    "PronType NumType Poss Reflex Foreign Abbr Gender Animacy Number Case Definite Degree VerbForm Mood Tense Aspect "
    "Voice Evident Polarity Person Polite".split()
)


class Tags(NamedTuple):
    """The tags of a word; `feats` as CoNLL-U writes them. `lemma` is "_" where there is none."""

    upos: str
    xpos: str
    feats: str
    lemma: str = NOTHING


TagFunction = Callable[[Sequence[Sequence[str]]], list[list[Tags]]]  # the forms of sentences -> the tags of their words


def evaluate(trees: Sequence[Tree], tokenizer: Tokenizer, tag: TagFunction, split: str) -> tuple[Metric, ...]:
    """Tokenizes and tags the raw text of a part of a treebank and compares it with the treebank."""
    text, gold = raw_text(trees)
    gold_tags = [[Tags(word.upos, word.xpos, word.feats, word.lemma) for word in tree.words] for tree in trees]
    system = finish(tokenizer.split(text))
    system_tags = tag([[token.text for token in sentence.tokens] for sentence in system])
    figures = {name.title(): value for name, value in asdict(score(gold, system)).items()}
    figures |= tag_scores(_by_word(gold, gold_tags), _by_word(system, system_tags))
    return tuple(
        Metric(name=f"{name}, raw text", value=round(value, 2), unit="% F1", split=split)
        for name, value in figures.items()
    )


def tag_scores(gold: dict[WordKey, Tags], system: dict[WordKey, Tags]) -> dict[str, float]:
    """Returns the F1 of each column and of all tags, in percent, of words by their keys; of lemmas, if there are any.

    A word without a lemma in the treebank is right with any. A column that is "_" throughout is left out.
    """
    columns: dict[str, Callable[[Tags, Tags], bool]] = {}
    if any(tags.upos != NOTHING for tags in gold.values()):
        columns["UPOS"] = lambda a, b: a.upos == b.upos
    if any(tags.xpos != NOTHING for tags in gold.values()):
        columns["XPOS"] = lambda a, b: a.xpos == b.xpos
    if any(tags.feats != NOTHING for tags in gold.values()):
        columns["UFeats"] = lambda a, b: _universal(a.feats) == _universal(b.feats)
    tests = list(columns.values())
    columns["AllTags"] = lambda a, b: all(same(a, b) for same in tests)
    if any(tags.lemma != NOTHING for tags in system.values()):
        columns["Lemmas"] = lambda a, b: a.lemma in (b.lemma, NOTHING)
    both = gold.keys() & system.keys()
    return {
        name: 100 * 2 * sum(same(gold[word], system[word]) for word in both) / (len(gold) + len(system))
        for name, same in columns.items()
    }


def _by_word(sentences: Sequence[SentenceSpan], tags: Sequence[Sequence[Tags]]) -> dict[WordKey, Tags]:
    return {
        word_key(token): tag
        for sentence, row in zip(sentences, tags, strict=True)
        for token, tag in zip(sentence.tokens, row, strict=True)
    }


def _universal(feats: str) -> frozenset[str]:
    return frozenset(feat for feat in feats.split("|") if feat.split("=")[0] in UNIVERSAL_FEATURES)
