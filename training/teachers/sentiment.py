"""A teacher of sentiment classifiers: a layer on what the transformer makes of a text as a whole, and on average."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from service.artifact import Metric
from training import sst
from training.config import runs_folder
from training.dataset import Array, Example
from training.lesson import Lesson
from training.scorer import sentiment_accuracy
from training.tasks.sentiment import Sentiment, SentimentRecipe
from training.teachers import encoder, unlabelled
from training.teachers.encoder import WIDTH, Encoder, Pieces
from training.teachers.tuning import READ_PIECES, batches, tune

EPOCHS = 3
RATES = (6e-5, 1e-3)
NEUTRAL_SHARE = 1 / 6  # of the neutral phrases of a sentence, which are most of them and tell little
UNLABELLED_TOKENS = 2_000_000


class SentimentTeacher(nn.Module):  # type: ignore[misc]
    """Scores of the five grades of a text."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces = Pieces()
        self.encoder = Encoder()
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(2 * WIDTH, sst.GRADES)

    def read(self, texts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the vector of each piece  # [B, P, H], the mask, and where each word begins  # [B, T]."""
        ids, mask, starts = self.pieces.batch(texts)
        return self.encoder(ids, mask)[-1], mask, starts

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Returns logits  # [B, 5]."""
        valid = mask.unsqueeze(-1).float()
        mean = (vectors * valid).sum(1) / valid.sum(1)
        return self.head(self.dropout(torch.cat([vectors[:, 0], mean], -1)))


def teach(recipe: SentimentRecipe, console: Console) -> Lesson:
    """Tunes the teacher on the phrases of the train split, and has it judge unlabelled sentences."""
    task = replace(recipe, teacher=None).task()
    torch.manual_seed(recipe.seed)
    teacher = SentimentTeacher()
    train = _telling(task.examples("train"), recipe.seed)
    grades = torch.tensor([int(example.targets["grade"]) for example in train])

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
        return _answer(teacher, [tuple(example.source) for example in train], texts)


def _telling(examples: Sequence[Example], seed: int) -> list[Example]:
    """Leaves most neutral phrases out."""
    kept = np.random.default_rng(seed).random(len(examples)) < NEUTRAL_SHARE
    return [e for e, keep in zip(examples, kept, strict=True) if keep or e.targets["grade"] != sst.NEUTRAL]


def _polarity_loss(grades: Tensor, logits: Tensor) -> Tensor:
    """Returns what training.tasks.sentiment has of the same name, its mean."""
    odds = torch.logsumexp(logits[:, sst.NEUTRAL + 1 :], 1) - torch.logsumexp(logits[:, : sst.NEUTRAL], 1)
    sign = torch.sign(grades - sst.NEUTRAL).float()
    return (sign.abs() * functional.softplus(-sign * odds)).mean()


def _measure(teacher: SentimentTeacher, task: Sentiment) -> tuple[Metric, ...]:
    examples = task.examples("dev")
    probabilities = np.zeros((len(examples), sst.GRADES))
    for rows in batches([teacher.pieces.count(example.source) for example in examples], READ_PIECES):
        vectors, mask, _ = teacher.read([examples[i].source for i in rows])
        probabilities[rows] = torch.softmax(teacher(vectors, mask), -1).numpy()
    grades = np.array([int(example.targets["grade"]) for example in examples])
    return sentiment_accuracy(probabilities, grades, "dev")


def _answer(teacher: SentimentTeacher, labelled: Sequence[tuple[str, ...]], texts: Sequence[tuple[str, ...]]) -> Lesson:
    """Judges phrases and texts, and takes the mean of the vectors of each word in all that it reads."""
    everything = [*labelled, *texts]
    logits: Array = np.zeros((len(everything), sst.GRADES), np.float32)
    sums: defaultdict[str, Array] = defaultdict(lambda: np.zeros(WIDTH, np.float32))
    counts: Counter[str] = Counter()
    for rows in batches([teacher.pieces.count(words) for words in everything], READ_PIECES):
        vectors, mask, starts = teacher.read([everything[i] for i in rows])
        logits[rows] = teacher(vectors, mask).numpy()
        of_words = torch.gather(vectors, 1, starts.unsqueeze(-1).expand(-1, -1, WIDTH)).numpy()
        for row, i in enumerate(rows):
            for word, vector in zip(map(str.lower, everything[i]), of_words[row], strict=False):
                sums[word] += vector
                counts[word] += 1
    words = [word for word, _ in counts.most_common()]
    return Lesson(
        sentences=everything,
        lengths=np.array([len(words) for words in everything]),
        answers={"logits": logits},
        words=words,
        counts=np.array([counts[word] for word in words]),
        vectors=np.stack([sums[word] / counts[word] for word in words]).astype(np.float16),
        sources=(*unlabelled.sources(), encoder.source()),
    )
