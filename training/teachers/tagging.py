"""The teachers of taggers: a BiLSTM over the transformer's vectors and over characters with their case.

Several are fine-tuned with different seeds. A student learns the mean of their probabilities, which is right more often
than each of them alone (Hansen and Salamon 1990).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from service.artifact.manifest import Metric
from service.text.encoding import encode_characters
from service.text.vocabulary import Vocabulary
from training.data.dataset import IGNORED, Array, Example, length_sorted
from training.data.distillation import DistillationSet
from training.folders import runs_folder
from training.metrics.scores import tagging_accuracy
from training.report.progress import figures
from training.tasks.tagging import HEADS, TEACHER_LABELS, Tagging, TaggingRecipe
from training.teachers import encoder, unlabelled
from training.teachers.encoder import WIDTH, Encoder, Pieces
from training.teachers.tuning import READ_PIECES, tune
from training.teachers.vectors import WordVectors

TEACHERS = 2
EPOCHS = 5
RATES = (1.5e-4, 2e-3)
LAYERS = 3  # the last layers of the transformer, averaged with trained weights
CHARACTERS = 16  # of a word
SMOOTHING = 0.03
UNLABELLED_TOKENS = 2_400_000


class TaggingTeacher(nn.Module):  # type: ignore[misc]
    """Computes the logits of the labels of each head for each word."""

    def __init__(self, labels: Mapping[str, Sequence[str]], characters: Vocabulary) -> None:
        super().__init__()
        self.pieces = Pieces()
        self.vocabulary = characters
        self.encoder = Encoder()
        self.mix = nn.Parameter(torch.zeros(LAYERS))
        self.characters = nn.Embedding(len(characters), 32, padding_idx=0)
        self.convolution = nn.Conv1d(32, 80, 3, padding=1)
        self.lstm = nn.LSTM(WIDTH + 80, 256, bidirectional=True, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.heads = nn.ModuleDict({head: nn.Linear(512, len(names)) for head, names in labels.items()})

    def read(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """Returns the transformer's vector of each word, shape [B, T, H]."""
        ids, mask, starts = self.pieces.batch(sentences)
        shares = torch.softmax(self.mix, 0)
        states = self.encoder(ids, mask)[-LAYERS:]
        mixed = sum(share * state for share, state in zip(shares, states, strict=True))
        return torch.gather(mixed, 1, starts.unsqueeze(-1).expand(-1, -1, WIDTH))

    def forward(self, sentences: Sequence[Sequence[str]], read: Tensor) -> dict[str, Tensor]:
        """Returns the logits of each head, shape [B, T, K]. read: the vectors that `read` returns."""
        batch, time, _ = read.shape
        spelled = [torch.from_numpy(encode_characters(words, self.vocabulary, CHARACTERS)) for words in sentences]
        ids = nn.utils.rnn.pad_sequence(spelled, batch_first=True).reshape(batch * time, CHARACTERS)
        found = torch.relu(self.convolution(self.characters(ids).transpose(1, 2))).amax(-1)
        inputs = self.dropout(torch.cat([read, found.reshape(batch, time, -1)], -1))
        lengths = torch.tensor([len(words) for words in sentences])
        packed = nn.utils.rnn.pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        outputs, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        outputs = self.dropout(outputs)
        return {name: head(outputs) for name, head in self.heads.items()}


def teach(recipe: TaggingRecipe, console: Console) -> DistillationSet:
    """Fine-tunes the teachers on the train split and runs them on unlabelled sentences."""
    task = replace(recipe, teacher=None).task()
    teachers = [_tuned(task, recipe.seed + i, console) for i in range(TEACHERS)]
    texts = unlabelled.sentences(UNLABELLED_TOKENS, recipe.seed)
    with torch.inference_mode():
        console.print(f"together: {figures(_measure(teachers, task))}", highlight=False, soft_wrap=True)
        return _distill(teachers, [tuple(example.source) for example in task.examples("train")], texts)


def _tuned(task: Tagging, seed: int, console: Console) -> TaggingTeacher:
    torch.manual_seed(seed)
    teacher = TaggingTeacher(task.labels, task.vocabularies["characters"])
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
        runs_folder() / task.recipe.name / f"teacher-{seed}.pt",
        epochs=EPOCHS,
        rates=RATES,
        seed=seed,
        console=console,
    )
    teacher.eval()
    return teacher


def _cross_entropy(logits: Tensor, head: str, examples: Sequence[Example]) -> Tensor:
    targets = [torch.from_numpy(example.targets[head]).long() for example in examples]
    padded = nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=IGNORED)
    flat = logits.flatten(0, 1)
    return functional.cross_entropy(flat, padded.flatten(), ignore_index=IGNORED, label_smoothing=SMOOTHING)


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
            best = share.argmax(-1).numpy()
            right[head] += [best[row, : len(examples[i])] == examples[i].targets[head] for row, i in enumerate(rows)]
    columns = {HEADS[head]: np.concatenate(found) for head, found in right.items()}
    return tagging_accuracy(columns, np.ones(len(columns["UPOS"]), bool), "dev")


def _distill(
    teachers: Sequence[TaggingTeacher], labelled: Sequence[tuple[str, ...]], texts: Sequence[tuple[str, ...]]
) -> DistillationSet:
    """Returns the best labels of the texts and the mean vector of each word, by the first teacher."""
    found: list[dict[str, Array]] = [{}] * len(texts)
    word_vectors = WordVectors()
    everything = [*texts, *labelled]
    for rows in length_sorted([teachers[0].pieces.count(words) for words in everything], READ_PIECES):
        shares, (vectors, *_) = _shares(teachers, [everything[i] for i in rows])
        best = {head: share.topk(TEACHER_LABELS) for head, share in shares.items()}
        for row, i in enumerate(rows):
            length = len(everything[i])
            word_vectors.add(everything[i], vectors[row].numpy())
            if i < len(texts):
                found[i] = {
                    name: array
                    for head, (share, ids) in best.items()
                    for name, array in (
                        (head, ids[row, :length].numpy().astype(np.int32)),
                        (f"{head}_shares", share[row, :length].numpy()),
                    )
                }
    words, counts, vectors_of_words = word_vectors.means()
    return DistillationSet(
        sentences=texts,
        lengths=np.array([len(words) for words in texts]),
        outputs={name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]},
        words=words,
        counts=counts,
        vectors=vectors_of_words,
        sources=(*unlabelled.sources(), encoder.source()),
    )
