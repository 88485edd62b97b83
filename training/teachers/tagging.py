"""The teachers of taggers: a layer on the transformer's vector of each word and on its characters with their case."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from service.artifact.manifest import Metric
from service.text.lemmatizer import LEMMA
from service.text.vocabulary import Vocabulary, encode_characters
from training.data.dataset import IGNORED, Array, Example, length_sorted
from training.data.distillation import DistillationSet
from training.metrics.scores import LEMMA_RULES, tagging_accuracy, word_accuracy
from training.report.progress import figures
from training.tasks.recipe import TeacherSettings
from training.tasks.tagging import HEADS, Tagging
from training.tasks.tagging_batches import TEACHER_LABELS
from training.teachers import pretrained
from training.teachers.encoder import Encoder, Pieces
from training.teachers.labelling import Sentences, label
from training.teachers.lemmas import agreeing
from training.teachers.tuning import READ_PIECES, teachers_folder, tune
from training.teachers.unlabelled import Text
from training.teachers.vectors import WordVectors

LAYERS = 4  # the last layers of the transformer, averaged with trained weights
CHARACTERS = 16  # of a word
SMOOTHING = 0.03


class TaggingTeacher(nn.Module):  # type: ignore[misc]
    """Computes the logits of the labels of each head for each word.

    Args:
        folder: of the pretrained transformer.
    """

    def __init__(self, folder: Path, labels: Mapping[str, Sequence[str]], characters: Vocabulary) -> None:
        super().__init__()
        self.pieces = Pieces(folder)
        self.vocabulary = characters
        self.encoder = Encoder(folder)
        self.mix = nn.Parameter(torch.zeros(LAYERS))
        self.characters = nn.Embedding(len(characters), 32, padding_idx=0)
        self.convolution = nn.Conv1d(32, 128, 3, padding=1)
        self.dropout = nn.Dropout(0.2)
        width = self.encoder.width + 128
        self.heads = nn.ModuleDict({head: nn.Linear(width, len(names)) for head, names in labels.items()})

    def read(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """Returns the transformer's vector of each word, shape [B, T, H]."""
        ids, mask, starts = self.pieces.batch(sentences)
        shares = torch.softmax(self.mix, 0)
        states = self.encoder(ids, mask, LAYERS)
        mixed = sum(share * state for share, state in zip(shares, states, strict=True))
        return torch.gather(mixed, 1, starts.unsqueeze(-1).expand(-1, -1, self.encoder.width))

    def forward(self, sentences: Sequence[Sequence[str]], read: Tensor) -> dict[str, Tensor]:
        """Returns the logits of each head, shape [B, T, K]. read: the vectors that `read` returns."""
        batch, time, _ = read.shape
        spelled = [torch.from_numpy(encode_characters(words, self.vocabulary, CHARACTERS)) for words in sentences]
        ids = nn.utils.rnn.pad_sequence(spelled, batch_first=True).reshape(batch * time, CHARACTERS).to(read.device)
        found = torch.relu(self.convolution(self.characters(ids).transpose(1, 2))).amax(-1)
        inputs = self.dropout(torch.cat([read, found.reshape(batch, time, -1)], -1))
        return {name: head(inputs) for name, head in self.heads.items()}


def teach(task: Tagging, settings: TeacherSettings, text: Text, console: Console) -> DistillationSet:
    """Fine-tunes the teachers on the train split and runs them on unlabelled sentences."""
    recipe = task.recipe
    encoder = pretrained.find(settings.encoder)
    teachers = [_tuned(task, encoder.folder, settings, recipe.seed + i, console) for i in range(settings.count)]
    texts = text.sentences
    train = [tuple(example.source) for example in task.examples("train")]
    with torch.inference_mode():
        if len(teachers) > 1:
            console.print(f"together: {figures(_measure(teachers, task))}", highlight=False, soft_wrap=True)
        outputs, vectors = label(
            [*texts, *train], lambda part, own: _label(teachers, part, own), teachers_folder(recipe), console
        )
    tokens = sum(map(len, texts))
    outputs = {name: array[:tokens] for name, array in outputs.items()}
    words, counts, vectors_of_words = vectors.means()
    if task.lemmatizer:
        outputs |= agreeing(task, texts, outputs, words)
    return DistillationSet(
        sentences=texts,
        lengths=np.array([len(words) for words in texts]),
        outputs=outputs,
        words=words,
        counts=counts,
        vectors=vectors_of_words,
        sources=(*text.sources, encoder.source),
    )


def _tuned(task: Tagging, folder: Path, settings: TeacherSettings, seed: int, console: Console) -> TaggingTeacher:
    torch.manual_seed(seed)
    teacher = TaggingTeacher(folder, task.labels, task.vocabularies["characters"])
    train = task.examples("train")

    def loss(rows: list[int]) -> Tensor:
        examples = [train[i] for i in rows]
        sentences = [example.source for example in examples]
        logits = teacher(sentences, teacher.read(sentences))
        return sum(_cross_entropy(logits[head], head, examples) for head in task.labels)

    tune(
        teacher,
        [teacher.pieces.count(example.source) for example in train],
        loss,
        lambda: _measure([teacher], task),
        teachers_folder(task.recipe) / f"teacher-{seed}.pt",
        settings=settings,
        seed=seed,
        console=console,
    )
    return teacher


def _cross_entropy(logits: Tensor, head: str, examples: Sequence[Example]) -> Tensor:
    targets = [torch.from_numpy(example.targets[head]).long() for example in examples]
    padded = nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=IGNORED).to(logits.device)
    wanted = padded.flatten().clamp(min=IGNORED)  # an unseen label is ignored, too
    return functional.cross_entropy(logits.flatten(0, 1), wanted, ignore_index=IGNORED, label_smoothing=SMOOTHING)


def _shares(
    teachers: Sequence[TaggingTeacher], sentences: Sequence[Sequence[str]]
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Returns the mean probabilities of each head, shape [B, T, K], and the vectors of each teacher, [B, T, H]."""
    vectors = [teacher.read(sentences) for teacher in teachers]
    logits = [teacher(sentences, read) for teacher, read in zip(teachers, vectors, strict=True)]
    return {head: sum(torch.softmax(one[head], -1) for one in logits) / len(logits) for head in logits[0]}, vectors


def _measure(teachers: Sequence[TaggingTeacher], task: Tagging) -> tuple[Metric, ...]:
    examples = task.examples("dev")
    right: dict[str, list[Array]] = {head: [] for head in task.labels}
    for rows in length_sorted([teachers[0].pieces.count(example.source) for example in examples], READ_PIECES):
        shares, _ = _shares(teachers, [examples[i].source for i in rows])
        for head, share in shares.items():
            best = share.argmax(-1).cpu().numpy()
            right[head] += [best[row, : len(examples[i])] == examples[i].targets[head] for row, i in enumerate(rows)]
    columns = {head: np.concatenate(found) for head, found in right.items()}
    known = np.ones(len(columns["upos"]), bool)
    metrics = tagging_accuracy({name: columns[head] for head, name in HEADS.items()}, known, "dev")
    return (*metrics, *word_accuracy({LEMMA_RULES: columns[LEMMA]}, known, "dev")) if LEMMA in columns else metrics


def _best(shares: Tensor) -> tuple[Array, ...]:
    """Returns the TEACHER_LABELS highest shares and their labels; of a head with fewer, shares of 0 behind them."""
    found = shares.topk(min(TEACHER_LABELS, shares.shape[-1]))
    missing = TEACHER_LABELS - found.values.shape[-1]
    return tuple(functional.pad(part, (0, missing)).cpu().numpy() for part in found)


def _label(teachers: Sequence[TaggingTeacher], sentences: Sentences, word_vectors: WordVectors) -> dict[str, Array]:
    """Returns the best labels of each word and their probabilities; adds the vectors of the first teacher."""
    found: list[dict[str, Array]] = [{}] * len(sentences)
    for rows in length_sorted([teachers[0].pieces.count(words) for words in sentences], READ_PIECES):
        shares, (vectors, *_) = _shares(teachers, [sentences[i] for i in rows])
        read = vectors.cpu().numpy()
        best = {head: _best(share) for head, share in shares.items()}
        for row, i in enumerate(rows):
            length = len(sentences[i])
            word_vectors.add(sentences[i], read[row])
            found[i] = {
                name: array
                for head, (share, ids) in best.items()
                for name, array in ((head, ids[row, :length].astype(np.int32)), (f"{head}_shares", share[row, :length]))
            }
    return {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}
