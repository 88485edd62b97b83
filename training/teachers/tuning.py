"""Fine-tuning of a teacher: AdamW with a low rate for the pretrained layers and a high one for the rest."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from service.artifact.manifest import Metric
from training.data.dataset import length_sorted, shuffled_batches
from training.folders import replace_file, runs_folder
from training.report.progress import Reporter
from training.tasks.base import Recipe
from training.tasks.recipe import TeacherSettings
from training.teachers.encoder import DEVICE

READ_PIECES = 4000  # of a batch in inference
WARMUP = 0.1
WEIGHT_DECAY = 0.01
CLIP_NORM = 1.0


def teachers_folder(recipe: Recipe) -> Path:
    """Returns the folder of a recipe's teachers, with their weights, checkpoints and labelled text.

    Its name has a hash of their settings, so that teachers of other settings share nothing with them.
    """
    read = [getattr(recipe, name, None) for name in ("corpus", "further", "statements", "shift", "longest", "of_dev")]
    return runs_folder() / recipe.name / f"teachers-{_hash((recipe.teaching, recipe.seed, recipe.limit, read))}"


def shared_folder(recipe: Recipe) -> Path:
    """Returns the folder of teachers that are tuned on the corpora of several recipes, the same for all of these."""
    assert recipe.teaching  # noqa: S101 (it has teachers)
    teaching = replace(recipe.teaching, text=None, unlabelled_tokens=0)
    return runs_folder() / "together" / f"teachers-{_hash((teaching, recipe.seed, recipe.limit))}"


def _hash(settings: object) -> str:
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:8]


def tune(
    network: nn.Module,
    sizes: Sequence[int],
    loss: Callable[[list[int]], Tensor],
    measure: Callable[[], tuple[Metric, ...]],
    path: Path,
    *,
    settings: TeacherSettings,
    seed: int,
    console: Console,
) -> None:
    """Fine-tunes a network and writes its weights, or reads them if they have been written before.

    An interrupted run resumes after its last complete epoch.

    Args:
        sizes: number of pieces of each example.
        loss: computes the loss of a batch from the indices of its examples.
        measure: measures the network on dev.
        path: of the weights.
    """
    network.to(DEVICE)
    if path.exists():
        network.load_state_dict(torch.load(path, map_location=DEVICE))
        network.eval()
        console.print(f"tuned before: {path}", highlight=False, soft_wrap=True)
        return
    rng = np.random.default_rng(seed)
    optimizer, schedule = _optimizer(network, settings, len(length_sorted(sizes, settings.batch_pieces)))
    checkpoint = path.with_suffix(".checkpoint")
    done = _resume(checkpoint, network, optimizer, schedule, rng)
    with Reporter(console, settings.epochs) as report:
        for epoch in range(done + 1, settings.epochs + 1):
            network.train()
            keys = np.array(sizes, float) * rng.uniform(0.85, 1.15, len(sizes))
            rows = shuffled_batches(keys, sizes, settings.batch_pieces, rng)
            report.epoch(epoch, len(rows))
            started, total, pieces = time.monotonic(), 0.0, 0
            for step, batch in enumerate(rows, start=1):
                value = loss(batch)
                optimizer.zero_grad()
                value.backward()
                nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
                optimizer.step()
                schedule.step()
                total += value.item()
                pieces += sum(sizes[i] for i in batch)
                report.step(step, total / step, pieces)
            network.eval()
            seconds = time.monotonic() - started
            with torch.inference_mode():
                report.epoch_done(total / len(rows), pieces, seconds, measure(), False)
            _save(checkpoint, epoch, network, optimizer, schedule, rng)
    save_state(path, network.state_dict())
    checkpoint.unlink(missing_ok=True)


def _optimizer(network: nn.Module, settings: TeacherSettings, steps_per_epoch: int) -> tuple[Any, Any]:
    """Returns AdamW and its learning rates, which rise over a tenth of the run and then fall to 0."""
    encoder = set(network.encoder.parameters())
    rest = [weight for weight in network.parameters() if weight not in encoder]
    groups = [
        {"params": list(network.encoder.parameters()), "lr": settings.encoder_rate},
        {"params": rest, "lr": settings.head_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, fused=True)
    steps = settings.epochs * steps_per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(step / (WARMUP * steps), max(0.0, 1 - step / steps))
    )
    return optimizer, schedule


def _save(
    checkpoint: Path, epoch: int, network: nn.Module, optimizer: Any, schedule: Any, rng: np.random.Generator
) -> None:
    state = {name: one.state_dict() for name, one in _stateful(network, optimizer, schedule)}
    random = {"numpy": rng.bit_generator.state, "torch": torch.get_rng_state()}
    save_state(checkpoint, state | random | {"epoch": epoch})


def _resume(checkpoint: Path, network: nn.Module, optimizer: Any, schedule: Any, rng: np.random.Generator) -> int:
    """Restores a checkpoint, if there is one; returns the number of complete epochs."""
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)  # what `_save` wrote here
    for name, one in _stateful(network, optimizer, schedule):
        one.load_state_dict(state[name])
    rng.bit_generator.state = state["numpy"]
    torch.set_rng_state(state["torch"])
    return int(state["epoch"])


def _stateful(network: nn.Module, optimizer: Any, schedule: Any) -> tuple[tuple[str, Any], ...]:
    return ("network", network), ("optimizer", optimizer), ("schedule", schedule)


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Replaces a file of torch.load's atomically."""
    replace_file(path, lambda file: torch.save(dict(state), file))
