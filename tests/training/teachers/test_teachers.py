"""Teachers: a small transformer with random weights, fine-tuned, resumed, and run on unlabelled sentences."""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from service.errors import ConfigurationError
from tests.training.tiny import SOURCE, conllu, sentence, sentiment, tagging, treebank
from training.data import corpora
from training.data.treebank import Tree
from training.from_files import tagger
from training.from_files.options import Options
from training.tasks.recipe import TeacherSettings
from training.tasks.tagging import Tagging

pytest.importorskip("torch", reason="the extra teach, which holds PyTorch, is not installed")
pytest.importorskip("transformers", reason="the extra teach, which holds Transformers, is not installed")

import tokenizers
import torch
import transformers

from training.teachers import labelling, pretrained, tuning, unlabelled
from training.teachers import tagging as tagging_teacher
from training.teachers import teach as teach_module
from training.teachers.encoder import Encoder, Pieces
from training.teachers.teach import teach

TEXTS = [("the", "dog", "sees", "the", "Child"), ("A", "lovely", "cat"), ("the", "❤", "bird", "likes", "today")]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """Returns the folder of a transformer whose padding is not 0, as that of MPNet is not."""
    words = sorted({form.lower() for tree in treebank()["train"] for form in tree.forms} | {"not", "a", "film", "plot"})
    names = [
        "<s>",
        "<pad>",
        "</s>",
        "[UNK]",
        *words,
        *"abcdefghijklmnopqrstuvwxyz.",
        *map("##{}".format, "aeilnoprsty"),
    ]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({name: i for i, name in enumerate(names)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    folder = tmp_path / "encoder"
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", pad_token="<pad>", unk_token="[UNK]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.MPNetConfig(
        vocab_size=len(names), hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64,
        pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    transformers.MPNetModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def settings(encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TeacherSettings:
    monkeypatch.setenv("TAGWERK_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setattr(unlabelled, "sentences", lambda tokens, seed: TEXTS)
    return TeacherSettings(
        encoder=str(encoder), epochs=12, batch_pieces=60, encoder_rate=3e-3, head_rate=1e-2, unlabelled_tokens=13
    )


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_padding_changes_no_vector(encoder):
    pieces, network = Pieces(encoder), Encoder(encoder).eval()
    ids, mask, starts = pieces.batch(TEXTS)
    assert mask.sum(1).tolist() == [pieces.count(words) + 2 for words in TEXTS]
    assert ids[mask == 0].unique().tolist() == [1]
    alone_ids, alone_mask, alone_starts = pieces.batch(TEXTS[1:2])
    with torch.inference_mode():
        together, alone = network(ids, mask)[-1], network(alone_ids, alone_mask)[-1]
    length = alone_ids.shape[1]
    torch.testing.assert_close(together[1, :length], alone[0], atol=0.05, rtol=0)
    assert starts[1, :3].tolist() == alone_starts[0].tolist()


def test_taggers_learn_their_sentences_and_label_others(settings):
    task, out = tagging(teaching=replace(settings, count=2)), console()
    made = teach(task, out)
    assert "together: UPOS" in said(out)
    assert "UPOS 100.0 %" in said(out)
    assert [made.sentences[i] for i in range(3)] == TEXTS
    assert made.outputs["upos"].shape == made.outputs["upos_shares"].shape == (13, 4)
    assert (made.outputs["upos_shares"][:, 0] >= made.outputs["upos_shares"][:, 1]).all()
    labels = task.labels["upos"]
    assert [labels[i] for i in made.outputs["upos"][:4, 0]] == ["DET", "NOUN", "VERB", "DET"]
    assert {"dog", "today", "lovely"} <= set(made.words)
    assert made.vectors.shape == (len(made.words), 32)
    assert made.words[0] == "the"
    assert made.counts[0] == 3 + sum(form == "the" for tree in treebank()["train"] for form in tree.forms)
    assert made.sources[-1].name == "encoder, the teacher's pretrained weights"


def test_the_text_of_a_language_is_split_as_its_treebank_is_and_nothing_else_is_read(settings, tmp_path, monkeypatch):
    file = tmp_path / "de.txt"
    file.write_text("the dog sees\nthe bird likes today\n")
    found = corpora.source(file, "CC0")
    monkeypatch.setattr(corpora, "path", lambda corpus, part: {("voices", "en"): file}[corpus, part])
    monkeypatch.setattr(corpora, "sources", {"voices": (found,)}.get)
    task = tagging(teaching=replace(settings, epochs=1, text="voices"), segmentation=("sentences",))
    made = teach(task, console())
    texts = {tuple(map(str.lower, made.sentences[i])) for i in range(len(made.sentences))}
    assert texts == {("the", "dog", "sees"), ("the", "bird", "likes", "today")}
    assert made.sources[0] == found


def test_classifiers_label_what_is_recombined_from_their_phrases(settings):
    teaching = replace(settings, batch_pieces=200, epochs=1, recombined_tokens=8)
    task = sentiment(teaching=teaching, limit=10)  # all twenty leave nothing new
    made = teach(task, console())
    sentences = [made.sentences[i] for i in range(len(made.sentences))]
    new = sentences[sentences.index(TEXTS[-1]) + 1 :]
    assert sum(map(len, new)) >= 8
    assert not set(new) & {tree[-1].tokens for tree in task.train_trees}
    assert len(made.outputs["logits"]) == len(sentences)


def test_an_interrupted_run_ends_as_a_whole_one(settings, monkeypatch):
    """Once between two epochs, once between two chunks of the text."""
    settings = replace(settings, epochs=3)
    task = tagging(teaching=settings)
    monkeypatch.setattr(labelling, "CHUNK", 2)
    whole = teach(task, console())
    for path in tuning.teachers_folder(task.recipe).iterdir():
        path.unlink()

    written: list[str] = []
    save_state = tuning.save_state

    def interrupted(path: Path, state: dict[str, object]) -> None:
        if len(written) in {2, 6}:  # the third checkpoint, then, after it, the weights and a chunk, the second chunk
            written.append("interrupted")
            raise KeyboardInterrupt
        written.append(path.name)
        save_state(path, state)

    monkeypatch.setattr(tuning, "save_state", interrupted)
    monkeypatch.setattr(labelling, "save_state", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            teach(task, console())
    out = console()
    resumed = teach(task, out)
    assert "tuned before" in said(out)
    assert "chunk 1 of" not in said(out)
    np.testing.assert_allclose(resumed.outputs["upos_shares"], whole.outputs["upos_shares"], atol=1e-5)
    assert resumed.words == whole.words
    np.testing.assert_array_equal(resumed.counts, whole.counts)


def test_a_tagger_of_files_has_the_words_and_answers_of_its_teacher(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAGWERK_RUNS_DIR", str(tmp_path / "runs"))
    data, text = tmp_path / "data.conllu", tmp_path / "text.txt"
    data.write_text(conllu(sentence(i) for i in range(60)))
    text.write_text("The heron sees a plot. The heron likes the dog.\n" * 3)
    options = Options(name="own", language="en", files={"train": data}, teacher=str(encoder), unlabelled=text)
    out = console()
    task = tagger.read_task(options, out)
    assert " words in 6 sentences" in said(out)
    assert "heron" in task.vocabularies["words"]
    assert task.segmenter is not None
    assert task.data[-2:] == (corpora.source(text, "not stated"), pretrained.find(str(encoder)).source)
    tokens = sum(batch.tokens for batch in task.train_batches(np.random.default_rng(0)))
    assert tokens > sum(map(len, task.examples("train"))) + 30


@dataclass(frozen=True)
class Other:
    """The recipe of a second treebank, with the same sentences, whose nouns are tagged as names."""

    corpus: str = "other"
    teacher: str | None = None
    limit: int | None = None
    seed: int = 1

    def task(self) -> Tagging:
        trees = {split: [as_names(tree) for tree in own] for split, own in treebank().items()}
        return Tagging(replace(tagging().recipe, corpus=self.corpus), trees, (SOURCE,))


def as_names(tree: Tree) -> Tree:
    return replace(tree, words=tuple(w._replace(upos="PROPN") if w.upos == "NOUN" else w for w in tree.words))


def test_one_transformer_learns_two_treebanks_with_heads_for_each_and_is_tuned_once(settings, monkeypatch):
    monkeypatch.setattr(teach_module, "taught_on", {"other": Other()}.__getitem__)
    monkeypatch.setattr(corpora, "sources", lambda corpus: (SOURCE.model_copy(update={"name": corpus}),))
    teaching = replace(settings, together=("other", "tiny"))
    out = console()
    made = teach(tagging(teaching=teaching), out)
    assert "together: UPOS 100.0 %" in said(out)
    task = tagging(teaching=teaching)
    labels = task.labels["upos"]
    assert [labels[i] for i in made.outputs["upos"][:4, 0]] == ["DET", "NOUN", "VERB", "DET"]
    assert [source.name for source in made.sources][-1:] == ["other/train"]
    assert "tuned before" not in said(out)

    other = Other().task()
    other.recipe = replace(other.recipe, teaching=teaching, name="tagger-other")
    monkeypatch.setattr(teach_module, "taught_on", {"tiny": Other("tiny")}.__getitem__)
    out = console()
    made = teach(other, out)
    assert "tuned before" in said(out)
    assert [other.labels["upos"][i] for i in made.outputs["upos"][:4, 0]] == ["DET", "PROPN", "VERB", "DET"]


def test_a_recipe_without_teachers_is_refused():
    with pytest.raises(ConfigurationError, match="tagger-tiny has no teacher"):
        teach(tagging(), console())


def test_sentences_are_written_in_several_styles(monkeypatch):
    rows = [{"text": f"The film was good. It has {i} stars."} for i in range(200)]
    monkeypatch.setattr(corpora, "read_table", lambda *_: rows)
    texts = {"kjv_sicp": "(define x 1)\n\nA procedure is a pattern.", "masc": "Dear all ,\nSee you soon .\n"}
    monkeypatch.setattr(corpora, "read", lambda corpus, _: texts[corpus])
    found = unlabelled.sentences(TeacherSettings(unlabelled_tokens=100_000), 1)
    assert len(found) == 403
    assert [" ".join(words).lower().removesuffix(" .") for words in found[-2:]] == ["dear all ,", "see you soon"]
    assert ("(", "define", "x", "1", ")") not in found
    goods = [words for words in found if words[-1].lower() in {".", "good"} and "good" in map(str.lower, words)]
    styles = {" ".join(words) for words in goods}
    assert styles >= {"The film was good .", "the film was good .", "THE FILM WAS GOOD .", "The film was good"}
    assert sum(" ".join(words) == "The film was good ." for words in goods) > len(goods) / 2


def test_the_teacher_reads_what_the_student_cannot(settings):
    """The case of a word, which the transformer does not see, reaches the heads by its characters."""
    task = tagging(teaching=settings)
    encoder = pretrained.find(settings.encoder).folder
    teacher = tagging_teacher.TaggingTeacher(encoder, [task.labels], task.vocabularies["characters"]).eval()
    with torch.inference_mode():
        lower, upper = (teacher(words, teacher.read(words))["upos"] for words in ([["child"]], [["Child"]]))
    assert not torch.allclose(lower, upper, atol=1e-6)
