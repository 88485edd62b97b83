"""Models of files that several tests use: a tagger of a tiny treebank with a teacher, and a classifier of a table."""

import json
import sys
import warnings
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from rich.console import Console

from service.artifact.manifest import DataSource
from service.text.lemmatizer import LEMMA
from tests.training.tiny import conllu, sentence, treebank, with_lemmas
from training import __main__ as command
from training.data.dataset import Array
from training.data.distillation import DistillationSet
from training.data.treebank import Tree, Word
from training.run import export, loop
from training.tasks.tagging import Tagging
from training.tasks.tagging_batches import TEACHER_LABELS
from training.teachers.unlabelled import UnlabelledText

TOPICS = {"sport": "the team won a match", "law": "the court heard a case"}
TINY = "--set epochs=2 --set sizes.units=8 --set served_precision=float32 --seed 3"
TEXT = "\n".join(" ".join(sentence(i).forms) + " ." for i in range(200))
OTHER = conllu(
    [
        Tree(
            (
                Word("the", "DET", "_", "Definite=Def"),
                Word("jay", "NOUN", "_", "Number=Sing"),
                Word("sees", "NOUN", "_", "_"),
            )
        )
    ]
    * 2
)
FILES = "--name tagger-xx --language nl --data bank.conllu --lexicon words.tsv --related other.conllu"
TEACHER = "--teacher multilingual --unlabelled text.txt --set sizes.word_embedding=8"
COMMANDS = (f"train tagger {FILES} {TEACHER} {TINY}", f"train classifier --name topics --data topics.jsonl {TINY}")


def make(folder: Path) -> None:
    """Writes files into a new folder, and makes the models of them there. `said.txt` gets what that prints."""
    folder.mkdir()
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        stack.enter_context(redirect_stdout(stack.enter_context((folder / "said.txt").open("w"))))
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # of Keras, with NumPy 2
        patch.chdir(folder)
        patch.setattr(export, "check_version", lambda folder: None)  # the service checks the goldens as well
        patch.setattr(loop, "set_threads", lambda threads: None)
        module = ModuleType("teach")  # the real one imports PyTorch
        patch.setattr(module, "teach", answers, raising=False)
        patch.setitem(sys.modules, "training.teachers.teach", module)
        Path("bank.conllu").write_text(treebank_with_lemmas(treebank()["train"] * 2))
        Path("other.conllu").write_text(OTHER)
        Path("text.txt").write_text(TEXT)
        Path("words.tsv").write_text("dog\tnoun\nsees\tverb\nfeeds\tnoun\nfeeds\tverb\ncats\tnoun\tkitten\n")
        texts = [(f"{text}, number {i}", topic) for i in range(30) for topic, text in TOPICS.items()]
        rows = [{"text": text, "label": topic, "half": i % 2} for i, (text, topic) in enumerate(texts)]
        Path("topics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        for arguments in COMMANDS:
            patch.setattr(sys, "argv", ["tagwerk-train", *arguments.split()])
            assert command.main() == 0


def treebank_with_lemmas(trees: list[Tree]) -> str:
    """Returns sentences as a file has them, each made different by a number, so that no split has another's.

    Each has the multiword token "zum", whose words are not parts of it.
    """
    text = ""
    for number, tree in enumerate(trees):
        zum = (Word("zu", "ADP", "_", "_", "zu"), Word("dem", "DET", "_", "_", "der"))
        own = Tree((*with_lemmas(tree).words, Word(str(number), "NUM", "_", "NumType=Card", str(number)), *zum))
        rows = conllu([own]).splitlines()
        rows.insert(-3, f"{len(rows) - 2}-{len(rows) - 1}\tzum" + "\t_" * 8)
        text += "\n".join([*rows, ""])
    return text


def answers(task: Tagging, console: Console, text: UnlabelledText) -> DistillationSet:
    """Stands for a teacher that knows the treebank: gives a word its label there, or the most frequent one."""
    known = {word.form: word for tree in map(with_lemmas, map(sentence, range(20))) for word in tree.words}
    words = [word for sentence in text.sentences for word in sentence]
    outputs: dict[str, Array] = {}
    for head, labels in task.labels.items():
        ids = np.zeros((len(words), TEACHER_LABELS), np.int32)
        if head != LEMMA:
            places = {label: i for i, label in enumerate(labels)}
            ids[:, 0] = [places.get(getattr(known[w], head), 0) if w in known else 0 for w in words]
        outputs[head], outputs[f"{head}_shares"] = ids, np.tile(np.array([0.9, 0.1, 0, 0], np.float32), (len(words), 1))
    counts = {word: words.count(word) for word in dict.fromkeys(words)}
    return DistillationSet(
        sentences=text.sentences,
        lengths=np.array([len(sentence) for sentence in text.sentences]),
        outputs=outputs,
        words=[*counts, "heron"],
        counts=np.array([*counts.values(), 9]),
        vectors=np.random.default_rng(0).normal(size=(len(counts) + 1, 24)).astype(np.float16),
        sources=(*text.sources, DataSource(name="weights", address="pkg:pypi/w@1", sha256="0" * 64, licence="MIT")),
    )
