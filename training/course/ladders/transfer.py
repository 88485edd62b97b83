"""Transfer: 300 sentences of French Sequoia, a pretrained transformer's answers, and treebanks of other languages."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from service.text.vocabulary import Vocabulary
from training.course.ladders import Ladder, Rung
from training.course.models.word_tagger import WordTaggerSizes
from training.data import corpora, treebank
from training.data.treebank import NOTHING, Tree
from training.tasks.recipe import TeacherSettings
from training.tasks.tagging import Tagging, TaggingRecipe

OTHERS = ("ancora/dev", "bosque/dev", "markit/train")  # Spanish, Portuguese, Italian: native, and plain downloads


@dataclass(frozen=True, kw_only=True)
class TransferRecipe(TaggingRecipe):
    """Settings of a tagger that learns from the beginnings of several treebanks. XPOS is not learned.

    Attributes:
        tagged: sentences of the train split that are learned from.
        further: parts of other treebanks, CORPUS/PART, of which 100 sentences each are learned from.
    """

    tagged: int = 300
    further: tuple[str, ...] = ()

    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> Tagging:
        splits = {split: _read(f"{self.corpus}/{split}") for split in ("train", "dev", "test")}
        splits["train"] = splits["train"][: self.tagged]
        splits["train"] += [tree for part in self.further for tree in _read(part)[:100]]
        sources = [source for part in (self.corpus, *self.further) for source in corpora.sources(part)]
        return Tagging(self, splits, tuple(sources), vocabularies)


def _read(part: str) -> list[Tree]:
    """Reads the sentences of a part, CORPUS/PART, without XPOS."""
    corpus, _, split = part.partition("/")
    trees = treebank.read(corpora.read(corpus, split))
    return [replace(tree, words=tuple(word._replace(xpos=NOTHING) for word in tree.words)) for tree in trees]


alone = Rung(
    "alone",
    "300 sentences of one treebank",
    TransferRecipe(
        name="transfer-alone",
        description="A rung of the ladder of transfer",
        language="fr",
        licence="LGPL-LR",
        limits="Made to be compared with the rungs beside it.",
        corpus="sequoia",
        tokenizer="spacy-fr",
        epochs=25,
        batch_tokens=400,
        learning_rate=4e-3,
        schedule="plateau",
        patience=3,
        distillation_tokens=15_000,
        teaching=TeacherSettings(
            encoder="multilingual", epochs=5, batch_pieces=350, encoder_rate=1e-4, text="sequoia/train"
        ),
        shipped=False,
        sizes=WordTaggerSizes(cell="lstm", units=64, directions=2, spelling=24, dropout=0.3),
    ),
)
taught = alone.then(
    "taught", "The answers of a transformer that has learned the 300 sentences", teacher="transfer-alone"
)
several = alone.then("several", "100 sentences each of Spanish, Portuguese and Italian, too", further=OTHERS)

LADDER = Ladder((alone, taught, several), rates=(4e-3,))
