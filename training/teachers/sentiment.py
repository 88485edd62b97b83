"""The teacher of sentiment classifiers: a layer on the transformer's vector of the text and on its mean vector."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from service.artifact.manifest import Metric
from training.data import sst
from training.data.dataset import Array, Example, length_sorted
from training.data.distillation import DistillationSet
from training.data.recombination import recombined
from training.tasks.losses import IMPOSSIBLE
from training.tasks.recipe import TeacherSettings
from training.tasks.sentiment import Sentiment
from training.teachers import pretrained, unlabelled
from training.teachers.encoder import Encoder, Pieces
from training.teachers.labelling import TokenizedSentences, label
from training.teachers.tuning import READ_PIECES, teachers_folder, tune
from training.teachers.vectors import WordVectors

NEUTRAL_SHARE = 1 / 6  # of the neutral phrases, which are most phrases and carry little information


class SentimentTeacher(nn.Module):  # type: ignore[misc]
    """Computes the logits of the five grades of a text.

    Args:
        folder: of the pretrained transformer.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.pieces = Pieces(folder)
        self.encoder = Encoder(folder)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(2 * self.encoder.width, sst.GRADES)

    def read(self, texts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the vector of each piece, [B, P, H], the mask, [B, P], and the first piece of each word, [B, T]."""
        ids, mask, starts = self.pieces.batch(texts)
        (vectors,) = self.encoder(ids, mask)
        return vectors, mask, starts

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Returns logits, shape [B, 5]."""
        valid = mask.unsqueeze(-1).float()
        mean = (vectors * valid).sum(1) / valid.sum(1)
        return self.head(self.dropout(torch.cat([vectors[:, 0], mean], -1)))


def teach(task: Sentiment, settings: TeacherSettings, console: Console) -> DistillationSet:
    """Fine-tunes the teachers on the train split of all corpora; labels it, unlabelled and recombined sentences."""
    recipe = task.recipe
    encoder = pretrained.find(settings.encoder)
    train = _informative(task.examples("train"), recipe.seed)
    texts = unlabelled.sentences(settings, recipe.seed)  # before hours of tuning: a corpus may be missing
    teachers = [_tuned(task, train, encoder.folder, settings, recipe.seed + i, console) for i in range(settings.count)]
    new = recombined(task.train_trees, settings.recombined_tokens, recipe.seed)
    everything = [*(tuple(example.source) for example in train), *texts, *new]
    with torch.inference_mode():
        outputs, vectors = label(
            everything, lambda part, own: _label(teachers, part, own), teachers_folder(recipe), console
        )
    words, counts, vectors_of_words = vectors.means()
    return DistillationSet(
        sentences=everything,
        lengths=np.array([len(words) for words in everything]),
        outputs=outputs,
        words=words,
        counts=counts,
        vectors=vectors_of_words,
        sources=(*unlabelled.sources(settings), encoder.source),
    )


def _tuned(
    task: Sentiment, train: Sequence[Example], folder: Path, settings: TeacherSettings, seed: int, console: Console
) -> SentimentTeacher:
    torch.manual_seed(seed)
    teacher = SentimentTeacher(folder)
    grades, corpora = (torch.tensor([int(e.targets[name]) for e in train]) for name in ("class_id", "corpus"))
    weights, shifts, allowed = map(torch.from_numpy, (task.tables.weights, task.tables.shifts, task.tables.allowed))

    def loss(rows: list[int]) -> Tensor:
        """Computes what Sentiment.loss does for labelled texts."""
        vectors, mask, _ = teacher.read([train[i].source for i in rows])
        wanted, corpus = grades[rows], corpora[rows]  # [B]
        logits = teacher(vectors, mask) + shifts[corpus].to(vectors.device)
        chosen = logits.masked_fill(allowed[corpus, wanted].to(vectors.device) == 0, IMPOSSIBLE)
        losses = torch.logsumexp(logits, 1) - torch.logsumexp(chosen, 1)
        losses = losses + _polarity_loss(wanted.to(vectors.device), logits)
        return (weights[corpus].to(vectors.device) * losses).mean()

    tune(
        teacher,
        [teacher.pieces.count(example.source) for example in train],
        loss,
        lambda: _measure(teacher, task),
        teachers_folder(task.recipe) / f"teacher-{seed}.pt",
        settings=settings,
        seed=seed,
        console=console,
    )
    return teacher


def _informative(examples: Sequence[Example], seed: int) -> list[Example]:
    """Leaves out most neutral phrases of the first corpus, the treebank."""
    kept = np.random.default_rng(seed).random(len(examples)) < NEUTRAL_SHARE
    neutral = (e.targets["class_id"] == sst.NEUTRAL and e.targets["corpus"] == 0 for e in examples)
    return [e for e, out, keep in zip(examples, neutral, kept, strict=True) if keep or not out]


def _polarity_loss(grades: Tensor, logits: Tensor) -> Tensor:
    """Computes training.tasks.losses.polarity_cross_entropy with PyTorch, shape [B]."""
    odds = torch.logsumexp(logits[:, sst.NEUTRAL + 1 :], 1) - torch.logsumexp(logits[:, : sst.NEUTRAL], 1)
    sign = torch.sign(grades - sst.NEUTRAL).float()
    return sign.abs() * functional.softplus(-sign * odds)


def _measure(teacher: SentimentTeacher, task: Sentiment) -> tuple[Metric, ...]:
    found = {}
    for corpus, examples in task.measured("dev").items():
        grades = np.zeros((len(examples), sst.GRADES))
        for rows in length_sorted([teacher.pieces.count(example.source) for example in examples], READ_PIECES):
            vectors, mask, _ = teacher.read([examples[i].source for i in rows])
            grades[rows] = torch.softmax(teacher(vectors, mask), -1).cpu().numpy()
        found[corpus] = grades @ task.label_of_class
    return task.figures(found, "dev")


def _label(
    teachers: Sequence[SentimentTeacher], texts: TokenizedSentences, word_vectors: WordVectors
) -> dict[str, Array]:
    """Returns the mean logits of the texts; adds the first teacher's vectors of their words."""
    logits: Array = np.zeros((len(texts), sst.GRADES), np.float32)
    for rows in length_sorted([teachers[0].pieces.count(words) for words in texts], READ_PIECES):
        batch = [texts[i] for i in rows]
        read = [teacher.read(batch) for teacher in teachers]
        answers = [teacher(vectors, mask) for teacher, (vectors, mask, _) in zip(teachers, read, strict=True)]
        logits[rows] = torch.stack(answers).mean(0).cpu().numpy()
        vectors, _, starts = read[0]
        of_words = torch.gather(vectors, 1, starts.unsqueeze(-1).expand(-1, -1, vectors.shape[-1])).cpu().numpy()
        for words, found in zip(batch, of_words, strict=True):
            word_vectors.add(words, found)
    return {"logits": logits}
