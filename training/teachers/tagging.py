"""The teachers of taggers: a layer on the transformer's vector of each word and on its characters with their case.

A teacher may be tuned on several treebanks at once: then it has heads for each, and all else in common.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from service.artifact.manifest import DataSource, Metric
from service.text.lemmatizer import LEMMA
from service.text.normalization import normalize_form
from service.text.vocabulary import Vocabulary, encode_characters
from training.data import corpora
from training.data.dataset import IGNORED, Array, Example, length_sorted
from training.data.distillation import DistillationSet
from training.data.vocabularies import counted
from training.metrics.scores import LEMMA_RULES, tagging_accuracy, word_accuracy
from training.report.progress import figures
from training.tasks.recipe import TeacherSettings
from training.tasks.tagging import HEADS, Tagging
from training.tasks.tagging_batches import TEACHER_LABELS
from training.teachers import pretrained
from training.teachers.encoder import Encoder, Pieces
from training.teachers.labelling import TokenizedSentences, label
from training.teachers.lemmas import agreeing
from training.teachers.tuning import READ_PIECES, shared_folder, teachers_folder, tune
from training.teachers.unlabelled import UnlabelledText
from training.teachers.vectors import WordVectors

LAYERS = 4  # the last layers of the transformer, averaged with trained weights
CHARACTERS = 16  # of a word
SMOOTHING = 0.03


class TaggingTeacher(nn.Module):  # type: ignore[misc]
    """Computes the logits of the labels of each head for each word.

    Args:
        folder: of the pretrained transformer.
        labels: of each treebank, by head.
        characters: of all treebanks.
    """

    def __init__(self, folder: Path, labels: Sequence[Mapping[str, Sequence[str]]], characters: Vocabulary) -> None:
        super().__init__()
        self.pieces = Pieces(folder)
        self.vocabulary = characters
        self.encoder = Encoder(folder)
        self.mix = nn.Parameter(torch.zeros(LAYERS))
        self.characters = nn.Embedding(len(characters), 32, padding_idx=0)
        self.convolution = nn.Conv1d(32, 128, 3, padding=1)
        self.dropout = nn.Dropout(0.2)
        width = self.encoder.width + 128
        self.heads = nn.ModuleList(
            nn.ModuleDict({head: nn.Linear(width, len(names)) for head, names in own.items()}) for own in labels
        )

    def read(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """Returns the transformer's vector of each word, shape [B, T, H]."""
        ids, mask, starts = self.pieces.batch(sentences)
        shares = torch.softmax(self.mix, 0)
        states = self.encoder(ids, mask, LAYERS)
        mixed = sum(share * state for share, state in zip(shares, states, strict=True))
        return torch.gather(mixed, 1, starts.unsqueeze(-1).expand(-1, -1, self.encoder.width))

    def forward(self, sentences: Sequence[Sequence[str]], read: Tensor, treebank: int = 0) -> dict[str, Tensor]:
        """Returns the logits of each head of a treebank, shape [B, T, K]. read: the vectors that `read` returns."""
        batch, time, _ = read.shape
        spelled = [torch.from_numpy(encode_characters(words, self.vocabulary, CHARACTERS)) for words in sentences]
        ids = nn.utils.rnn.pad_sequence(spelled, batch_first=True).reshape(batch * time, CHARACTERS).to(read.device)
        found = torch.relu(self.convolution(self.characters(ids).transpose(1, 2))).amax(-1)
        inputs = self.dropout(torch.cat([read, found.reshape(batch, time, -1)], -1))
        return {name: head(inputs) for name, head in self.heads[treebank].items()}


def teach(
    task: Tagging, settings: TeacherSettings, text: UnlabelledText, console: Console, together: Sequence[Tagging] = ()
) -> DistillationSet:
    """Fine-tunes the teachers on the train split and runs them on unlabelled sentences.

    Args:
        together: the tasks whose treebanks they are tuned on, this one among them; by default this one alone.
    """
    recipe = task.recipe
    tasks, folder = together or [task], (shared_folder if together else teachers_folder)(recipe)
    own = tasks.index(task)
    encoder = pretrained.find(settings.encoder)
    seeds = range(recipe.seed, recipe.seed + settings.count)
    teachers = [_tuned(tasks, encoder.folder, settings, folder / f"teacher-{seed}.pt", seed, console) for seed in seeds]
    texts = text.sentences
    train = [tuple(example.source) for example in _distinct(task)]
    with torch.inference_mode():
        if len(teachers) > 1 or together:
            say = f"together: {figures(_measure(teachers, {own: task}))}"
            console.print(say, highlight=False, soft_wrap=True)
        outputs, vectors = label(
            [*texts, *train],
            lambda part, vectors: _label(teachers, own, part, vectors),
            teachers_folder(recipe),
            console,
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
        labels=task.labels,
        sources=(*text.sources, encoder.source, *_treebanks(other for other in together if other is not task)),
    )


def _distinct(task: Tagging) -> list[Example]:
    """Returns the sentences of train, once each: a student reads some of them several times in an epoch."""
    return list({tuple(example.source): example for example in task.examples("train")}.values())


def _treebanks(tasks: Iterable[Tagging]) -> Iterator[DataSource]:
    """Yields the train splits of tasks."""
    for task in tasks:
        yield from corpora.sources(f"{task.recipe.corpus}/train")


def _tuned(
    tasks: Sequence[Tagging], encoder: Path, settings: TeacherSettings, path: Path, seed: int, console: Console
) -> TaggingTeacher:
    torch.manual_seed(seed)
    train = [(treebank, example) for treebank, task in enumerate(tasks) for example in _distinct(task)]
    characters = counted(c for _, example in train for form in example.source for c in normalize_form(form))
    teacher = TaggingTeacher(encoder, [task.labels for task in tasks], characters)

    def loss(rows: list[int]) -> Tensor:
        batch = [train[i] for i in rows]
        read, words = teacher.read([example.source for _, example in batch]), sum(len(example) for _, example in batch)
        found: list[Tensor] = []
        for treebank in sorted({treebank for treebank, _ in batch}):
            places = [row for row, (other, _) in enumerate(batch) if other == treebank]
            examples = [batch[row][1] for row in places]
            sentences, lengths = [example.source for example in examples], list(map(len, examples))
            logits = teacher(sentences, read[places, : max(lengths)], treebank)
            losses = [_cross_entropy(logits[head], head, examples) for head in tasks[treebank].labels]
            found.append(sum(lengths) / words * sum(losses))
        return sum(found)

    tune(
        teacher,
        [teacher.pieces.count(example.source) for _, example in train],
        loss,
        lambda: _measure([teacher], dict(enumerate(tasks))),
        path,
        settings=settings,
        seed=seed,
        console=console,
    )
    return teacher


def _cross_entropy(logits: Tensor, head: str, examples: Sequence[Example]) -> Tensor:
    targets = [torch.from_numpy(example.targets[head]).long() for example in examples]
    padded = nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=IGNORED).to(logits.device)
    wanted = padded.flatten().clamp(min=IGNORED)  # an unseen label is ignored, too
    total = functional.cross_entropy(
        logits.flatten(0, 1), wanted, ignore_index=IGNORED, label_smoothing=SMOOTHING, reduction="sum"
    )
    return total / (wanted != IGNORED).sum().clamp(min=1)


def _shares(
    teachers: Sequence[TaggingTeacher], treebank: int, sentences: Sequence[Sequence[str]]
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Returns the mean probabilities of each head, shape [B, T, K], and the vectors of each teacher, [B, T, H]."""
    vectors = [teacher.read(sentences) for teacher in teachers]
    logits = [teacher(sentences, read, treebank) for teacher, read in zip(teachers, vectors, strict=True)]
    return {head: sum(torch.softmax(one[head], -1) for one in logits) / len(logits) for head in logits[0]}, vectors


def _measure(teachers: Sequence[TaggingTeacher], tasks: Mapping[int, Tagging]) -> tuple[Metric, ...]:
    """Measures teachers on the dev splits of treebanks, by their numbers, together."""
    right: defaultdict[str, list[Array]] = defaultdict(list)
    for treebank, task in tasks.items():
        examples = task.examples("dev")
        for rows in length_sorted([teachers[0].pieces.count(example.source) for example in examples], READ_PIECES):
            shares, _ = _shares(teachers, treebank, [examples[i].source for i in rows])
            for head, share in shares.items():
                best = share.argmax(-1).cpu().numpy()
                found = [best[row, : len(examples[i])] == examples[i].targets[head] for row, i in enumerate(rows)]
                right[head] += found
    columns = {head: np.concatenate(found) for head, found in right.items()}
    known = np.ones(len(columns["upos"]), bool)
    metrics = tagging_accuracy({name: columns[head] for head, name in HEADS.items()}, known, "dev")
    if LEMMA not in columns:
        return metrics
    return (*metrics, *word_accuracy({LEMMA_RULES: columns[LEMMA]}, np.ones(len(columns[LEMMA]), bool), "dev"))


def _best(shares: Tensor) -> tuple[Array, ...]:
    """Returns the TEACHER_LABELS highest shares and their labels; of a head with fewer, shares of 0 behind them."""
    found = shares.topk(min(TEACHER_LABELS, shares.shape[-1]))
    missing = TEACHER_LABELS - found.values.shape[-1]
    return tuple(functional.pad(part, (0, missing)).cpu().numpy() for part in found)


def _label(
    teachers: Sequence[TaggingTeacher], treebank: int, sentences: TokenizedSentences, word_vectors: WordVectors
) -> dict[str, Array]:
    """Returns the best labels of each word and their probabilities; adds the vectors of the first teacher."""
    found: list[dict[str, Array]] = [{}] * len(sentences)
    for rows in length_sorted([teachers[0].pieces.count(words) for words in sentences], READ_PIECES):
        shares, (vectors, *_) = _shares(teachers, treebank, [sentences[i] for i in rows])
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
