"""Models of files: a tagger of a tiny treebank with a teacher, and a classifier of a tiny table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service.artifact.manifest import read_goldens, read_manifest
from service.backend.saved_model import TensorFlowBackend
from service.errors import ConfigurationError
from service.store.registry import load_version
from tests.batches import padded, rows_of
from tests.training.from_files.made import TEXT
from tests.training.tiny import conllu, sentence, tagging, treebank
from training.data.files import DataFileError
from training.data.treebank import read
from training.from_files.made_again import task_of_version
from training.run.export import export_again
from training.run.versions import exported_weights, restore
from training.teachers.unlabelled import of_file, of_treebank


@pytest.mark.usefixtures("made")
def test_models_of_files_are_compared(run, capsys):
    """That they are served: see `test_correcting_page`."""
    said_then = Path("said.txt").read_text()
    assert "lexicon: 4 words, 7% of the different words of train" in said_then
    assert "other.conllu: 2 sentences, 66.7% of the words agree with the data" in said_then
    folder = Path("model_store/tagger-xx/1")
    manifest = read_manifest(folder)
    assert [data.name for data in manifest.data] == ["bank.conllu", "other.conllu", "words.tsv", "text.txt", "weights"]
    assert "--teacher multilingual" in manifest.command
    assert manifest.labels["xpos"] == ("_",)
    assert "xpos" in manifest.endpoint.outputs, "the service reads all three"
    accuracies = {metric.name for metric in manifest.metrics if metric.unit == "%" and "," not in metric.name}
    assert accuracies == {"UPOS", "UFeats", "AllTags", "Lemmas"}, "none of a column that says nothing"
    words = (folder / "words.json").read_text()
    assert "heron" in words, "the teacher alone has read this word"
    assert '"j"' in (folder / "characters.json").read_text(), "the other treebank alone has this character"
    assert (folder / "lemmas.json").exists()
    rows = said(run, capsys, "evaluate", "tagger-xx", "tagger-xx/1", "--data", "bank.conllu")
    for head in ("upos", "lemma"):
        assert [head, "difference", "+0.00", "+0.00", "to", "+0.00"] in rows
    rows = said(run, capsys, "evaluate", "topics", "--data", "topics.jsonl", "--group-column", "half")
    assert ["label", "topics/1", "100.00", "100.00", "to", "100.00"] in rows
    for value in ("sport", "law", "0", "1"):
        assert [value, "30", "30"] in rows
    for names in (("tagger-xx", "topics"), ("topics",) * 3):
        assert run("evaluate", *names, "--data", "topics.jsonl") == 1
        assert "right: " in capsys.readouterr().err


@pytest.mark.usefixtures("made")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, with NumPy 2
def test_what_a_tagger_learns_beside_its_network_is_learned_again_of_its_files(run, capsys):
    for version, what in (("2", "--tokenizer"), ("3", "--lemmas")):
        assert run("export-again", "tagger-xx", what) == 0
        old, new = (Path(f"model_store/tagger-xx/{number}") for number in ("1", version))
        for name in ("tokenizer.json", "words.json", "saved_model/saved_model.pb"):
            assert (new / name).read_bytes() == (old / name).read_bytes()
        before, after = read_manifest(old), read_manifest(new)
        assert (after.command, after.data, after.labels) == (before.command, before.data, before.labels)
        assert {metric.name for metric in before.metrics} >= {metric.name for metric in after.metrics}
        settings = [(folder / "MODEL_CARD.md").read_text().partition("Settings")[2] for folder in (old, new)]
        assert settings[0] == settings[1]
    capsys.readouterr()
    assert run("export-again", "topics", "--tokenizer") == 1
    assert "topics/1 was made of files" in capsys.readouterr().err
    with Path("other.conllu").open("a") as file:
        file.write(conllu([sentence(1)]))
    assert run("export-again", "tagger-xx", "--tokenizer") == 1
    said = capsys.readouterr().err
    assert "other.conllu is not what tagger-xx/3 was made of" in said
    Path("bank.conllu").unlink()
    assert run("export-again", "tagger-xx", "--tokenizer") == 1
    assert "bank.conllu" in capsys.readouterr().err
    assert run("export-again", "tagger-xx") == 0, "the network needs none of the files"
    old, new = (Path(f"model_store/tagger-xx/{number}") for number in ("3", "4"))
    for name in ("goldens.jsonl", "reference.json", "tokenizer.json", "lemmas.json", "words.json"):
        assert (new / name).read_bytes() == (old / name).read_bytes()
    assert read_manifest(new).metrics == read_manifest(old).metrics
    task = task_of_version(Path("model_store"), "tagger-xx")
    model = restore(task, new)
    model.round_weights()
    with pytest.raises(ConfigurationError, match=r"in float32, and would be in int8 now; right: train it again"):
        export_again(task, model, new)
    assert not Path("model_store/tagger-xx/5").exists()


@pytest.mark.usefixtures("made")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, with NumPy 2
def test_a_classifier_of_a_file_is_in_integers_unless_it_is_told_otherwise_and_is_served_so(run):
    command = "train classifier --name whole --data topics.jsonl --set epochs=2 --set sizes.units=8 --seed 3"
    assert run(*command.split()) == 0
    version, told = (load_version(Path("model_store", name, "1")) for name in ("whole", "topics"))
    assert (version.manifest.precision, told.manifest.precision) == ("int8", "float32")
    for folder, dtype in ((version.folder, "int8"), (told.folder, "float32")):
        kernels = [value for name, value in exported_weights(folder) if name.endswith("recurrent_kernel")]
        assert [kernel.dtype for kernel in kernels] == [dtype]
    model = TensorFlowBackend("cpu").load_sequence_model(version.folder, version.manifest)
    list(model.warm_up([1], version.manifest.length_buckets[-1]))
    for golden in read_goldens(version.folder):
        example = {name: np.asarray(value, np.int32) for name, value in golden.inputs.items()}
        batch = padded([example], version.manifest.endpoint.inputs, (1, len(example["word_ids"])))
        (output,) = rows_of(model.start(batch.inputs)(), batch, model.timed_outputs)
        tolerance = version.manifest.tolerance("probabilities")
        np.testing.assert_allclose(output["probabilities"], golden.outputs["probabilities"], *tolerance)


def said(run: Callable[..., int], capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    """Runs a command; returns the words of each line that it printed."""
    capsys.readouterr()
    assert run(*arguments) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_text_is_split_into_sentences_and_some_are_restyled(tmp_path: Path) -> None:
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


def test_the_words_of_a_treebank_are_text_in_which_no_word_has_a_space(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = conllu(treebank()["train"]).replace("\tdog\t", "\t10 000\t", 1)
    monkeypatch.setattr("training.data.corpora.read", lambda corpus, part: lines)
    text = of_treebank("sequoia/train")
    assert text.sentences[0][:3] == ("the", "10\u00a0000", "sees")
    assert len(text.sentences) == len(treebank()["train"])
    assert [source.name for source in text.sources] == ["Universal Dependencies French Sequoia: train"]


def test_restyled_sentences_of_the_treebank_keep_their_labels() -> None:
    task = tagging(restyled=1.0)
    plain, both = (tagging(restyled=share).train_batches(np.random.default_rng(1)) for share in (0.0, 1.0))
    tokens = sum(len(tree.words) for tree in treebank()["train"])
    assert [sum(batch.tokens for batch in batches) for batches in (plain, both)] == [tokens, 2 * tokens]
    upper = [e for e in task._restyled(np.random.default_rng(1)) if e.source[0] == "THE"]
    assert upper
    assert all((e.targets["upos"][0] == task.labels["upos"].index("DET")) for e in upper)


def test_a_comment_marks_sentences_whose_spacing_is_unknown() -> None:
    known, unknown = conllu([sentence(1)]), "# spacing = unknown\n" + conllu([sentence(2)])
    assert [tree.spaced for tree in read(known + unknown + known)] == [True, False, True]
