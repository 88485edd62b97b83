"""A tagger of a file that learns from a teacher's answers, too. The teacher is a stand-in that knows the treebank."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from rich.console import Console

from service.artifact.manifest import DataSource, read_manifest
from service.text.lemmatizer import LEMMA
from tests.training.tiny import conllu, sentence, tagging, treebank, with_lemmas
from training.data.dataset import Array
from training.data.distillation import DistillationSet
from training.data.files import DataFileError
from training.data.treebank import read
from training.tasks.tagging import TEACHER_LABELS, Tagging
from training.teachers.unlabelled import Text, of_file

TEXT = "\n".join(" ".join(sentence(i).forms) + " ." for i in range(200))
RUN = "train tagger --name taught --data data.conllu --teacher multilingual --unlabelled text.txt --language en"


def answers(task: Tagging, console: Console, text: Text) -> DistillationSet:
    """Returns what a teacher would: the label that the treebank has for a word, or the most frequent one."""
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


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, with NumPy 2
def test_a_tagger_learns_the_answers_of_a_teacher(run: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("teach")  # the real one imports PyTorch
    monkeypatch.setattr(module, "teach", answers, raising=False)
    monkeypatch.setitem(sys.modules, "training.teachers.teach", module)
    Path("data.conllu").write_text(conllu(with_lemmas(sentence(i)) for i in range(60)))
    Path("text.txt").write_text(TEXT)
    small = [
        "sizes.word_embedding=8",
        "sizes.units=8",
        "sizes.character_units=4",
        "sizes.affix_embedding=2",
        "epochs=2",
    ]
    assert run(*RUN.split(), *(part for setting in small for part in ("--set", setting))) == 0
    manifest = read_manifest(Path("model_store/taught/1"))
    assert [data.name for data in manifest.data] == ["data.conllu", "text.txt", "weights"]
    assert "heron" in Path("model_store/taught/1/words.json").read_text(), "a word that the teacher alone has read"
    assert "--teacher multilingual" in manifest.command


def test_text_is_split_into_sentences_and_partly_restyled(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(TEXT + "\nMr. Smith sees a bird. The cat likes it.\n\n")
    text = of_file(file, "CC0", tagging().text_tokenizer(), 1200, 1)
    assert 1150 < sum(map(len, text.sentences)) < 1220  # some without their last full stop
    styles = [words[0] for words in text.sentences if words[0].lower() == "the"]
    assert {"the", "THE", "The"} == set(styles)
    assert text.sources[0].licence == "CC0"
    file.write_text("word\n\n")
    with pytest.raises(DataFileError, match="has no sentence; right: plain text with sentences of 2 to 60 words"):
        of_file(file, "CC0", tagging().text_tokenizer(), 400, 1)


def test_sentences_of_the_treebank_are_read_in_other_cases_with_their_labels() -> None:
    task = tagging(restyled=1.0)
    plain, both = (tagging(restyled=share).train_batches(np.random.default_rng(1)) for share in (0.0, 1.0))
    tokens = sum(len(tree.words) for tree in treebank()["train"])
    assert [sum(batch.tokens for batch in batches) for batches in (plain, both)] == [tokens, 2 * tokens]
    upper = [e for e in task._restyled(np.random.default_rng(1)) if e.source[0] == "THE"]
    assert upper
    assert all((e.targets["upos"][0] == task.labels["upos"].index("DET")) for e in upper)


def test_a_tokenizer_does_not_learn_of_sentences_whose_spacing_is_unknown() -> None:
    known, unknown = conllu([sentence(1)]), "# spacing = unknown\n" + conllu([sentence(2)])
    assert [tree.spaced for tree in read(known + unknown + known)] == [True, False, True]
