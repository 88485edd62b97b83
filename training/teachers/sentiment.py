"""The teacher of sentiment classifiers: a layer on the transformer's vector of the text and on its mean vector."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from service.artifact.manifest import Metric
from training.data import sst
from training.data.dataset import Array, Example, length_sorted
from training.data.distillation import DistillationSet
from training.folders import runs_folder
from training.metrics.scores import sentiment_accuracy
from training.tasks.sentiment import Sentiment, SentimentRecipe
from training.teachers import encoder, unlabelled
from training.teachers.encoder import WIDTH, Encoder, Pieces
from training.teachers.tuning import READ_PIECES, tune
from training.teachers.vectors import WordVectors

EPOCHS = 3
RATES = (6e-5, 1e-3)
NEUTRAL_SHARE = 1 / 6  # of the neutral phrases, which are most phrases and carry little information
UNLABELLED_TOKENS = 2_000_000


class SentimentTeacher(nn.Module):  # type: ignore[misc]
    """Computes the logits of the five grades of a text."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces = Pieces()
        self.encoder = Encoder()
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(2 * WIDTH, sst.GRADES)

    def read(self, texts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the vector of each piece, [B, P, H], the mask, [B, P], and the first piece of each word, [B, T]."""
        ids, mask, starts = self.pieces.batch(texts)
        return self.encoder(ids, mask)[-1], mask, starts

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Returns logits, shape [B, 5]."""
        valid = mask.unsqueeze(-1).float()
        mean = (vectors * valid).sum(1) / valid.sum(1)
        return self.head(self.dropout(torch.cat([vectors[:, 0], mean], -1)))


def teach(recipe: SentimentRecipe, console: Console) -> DistillationSet:
    """Fine-tunes the teacher on the phrases of the train split and runs it on these and on unlabelled sentences."""
    task = replace(recipe, teacher=None).task()
    torch.manual_seed(recipe.seed)
    teacher = SentimentTeacher()
    train = _informative(task.examples("train"), recipe.seed)
    grades = torch.tensor([int(example.targets["class_id"]) for example in train])

    def loss(rows: list[int]) -> Tensor:
        vectors, mask, _ = teacher.read([train[i].source for i in rows])
        logits = teacher(vectors, mask)
        return functional.cross_entropy(logits, grades[rows]) + _polarity_loss(grades[rows], logits)

    tune(
        teacher,
        [teacher.pieces.count(example.source) for example in train],
        loss,
        lambda: _measure(teacher, task),
        runs_folder() / recipe.name / "teacher.pt",
        epochs=EPOCHS,
        rates=RATES,
        seed=recipe.seed,
        console=console,
    )
    texts = unlabelled.sentences(UNLABELLED_TOKENS, recipe.seed)
    teacher.eval()
    with torch.inference_mode():
        return _distill(teacher, [tuple(example.source) for example in train], texts)


def _informative(examples: Sequence[Example], seed: int) -> list[Example]:
    """Leaves out most neutral phrases."""
    kept = np.random.default_rng(seed).random(len(examples)) < NEUTRAL_SHARE
    return [e for e, keep in zip(examples, kept, strict=True) if keep or e.targets["class_id"] != sst.NEUTRAL]


def _polarity_loss(grades: Tensor, logits: Tensor) -> Tensor:
    """Computes the mean of training.tasks.losses.polarity_cross_entropy with PyTorch."""
    odds = torch.logsumexp(logits[:, sst.NEUTRAL + 1 :], 1) - torch.logsumexp(logits[:, : sst.NEUTRAL], 1)
    sign = torch.sign(grades - sst.NEUTRAL).float()
    return (sign.abs() * functional.softplus(-sign * odds)).mean()


def _measure(teacher: SentimentTeacher, task: Sentiment) -> tuple[Metric, ...]:
    examples = task.examples("dev")
    probabilities = np.zeros((len(examples), sst.GRADES))
    for rows in length_sorted([teacher.pieces.count(example.source) for example in examples], READ_PIECES):
        vectors, mask, _ = teacher.read([examples[i].source for i in rows])
        probabilities[rows] = torch.softmax(teacher(vectors, mask), -1).numpy()
    grades = np.array([int(example.targets["class_id"]) for example in examples])
    return sentiment_accuracy(probabilities, grades, "dev")


def _distill(
    teacher: SentimentTeacher, labelled: Sequence[tuple[str, ...]], texts: Sequence[tuple[str, ...]]
) -> DistillationSet:
    """Runs the teacher on all phrases and texts; returns its logits and the mean vector of each word."""
    everything = [*labelled, *texts]
    logits: Array = np.zeros((len(everything), sst.GRADES), np.float32)
    word_vectors = WordVectors()
    for rows in length_sorted([teacher.pieces.count(words) for words in everything], READ_PIECES):
        vectors, mask, starts = teacher.read([everything[i] for i in rows])
        logits[rows] = teacher(vectors, mask).numpy()
        of_words = torch.gather(vectors, 1, starts.unsqueeze(-1).expand(-1, -1, WIDTH)).numpy()
        for row, i in enumerate(rows):
            word_vectors.add(everything[i], of_words[row])
    words, counts, vectors_of_words = word_vectors.means()
    return DistillationSet(
        sentences=everything,
        lengths=np.array([len(words) for words in everything]),
        outputs={"logits": logits},
        words=words,
        counts=counts,
        vectors=vectors_of_words,
        sources=(*unlabelled.sources(), encoder.source()),
    )
