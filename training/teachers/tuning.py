"""Fine-tuning of a teacher: AdamW with a low rate for the pretrained layers and a high one for the rest."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from service.artifact.manifest import Metric
from training.data.dataset import Array, cut_batches, length_sorted
from training.report.progress import Reporter

BATCH_PIECES = 1000  # of a batch in training, including padding
READ_PIECES = 4000  # of a batch in inference
WARMUP = 0.1
WEIGHT_DECAY = 0.01
CLIP_NORM = 1.0


def tune(
    network: nn.Module,
    sizes: Sequence[int],
    loss: Callable[[list[int]], Tensor],
    measure: Callable[[], tuple[Metric, ...]],
    path: Path,
    *,
    epochs: int,
    rates: tuple[float, float],
    seed: int,
    console: Console,
) -> None:
    """Fine-tunes a network and writes its weights; reads them if they have been written before.

    Args:
        sizes: number of pieces of each example.
        loss: computes the loss of a batch from the indices of its examples.
        measure: measures the network on dev.
        path: of the weights.
        rates: the highest learning rates, of the pretrained encoder and of the rest.
    """
    if path.exists():
        network.load_state_dict(torch.load(path))
        console.print(f"tuned before: {path}", highlight=False, soft_wrap=True)
        return
    rng = np.random.default_rng(seed)
    encoder = set(network.encoder.parameters())
    rest = [weight for weight in network.parameters() if weight not in encoder]
    groups = [{"params": list(encoder), "lr": rates[0]}, {"params": rest, "lr": rates[1]}]
    optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)
    steps = epochs * len(length_sorted(sizes, BATCH_PIECES))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(step / (WARMUP * steps), max(0.0, 1 - step / steps))
    )
    with Reporter(console, epochs, 0) as report:
        for epoch in range(1, epochs + 1):
            network.train()
            rows = _shuffled_batches(sizes, rng)
            report.epoch(epoch, len(rows))
            started, total, pieces = time.monotonic(), 0.0, 0
            for done, batch in enumerate(rows, start=1):
                value = loss(batch)
                optimizer.zero_grad()
                value.backward()
                nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
                optimizer.step()
                schedule.step()
                total += value.item()
                pieces += sum(sizes[i] for i in batch)
                report.step(done, total / done, pieces)
            network.eval()
            seconds = time.monotonic() - started
            with torch.inference_mode():
                report.epoch_done(total / len(rows), pieces, seconds, measure(), False)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path.with_suffix(".partial"))
    path.with_suffix(".partial").replace(path)


def _shuffled_batches(sizes: Sequence[int], rng: np.random.Generator) -> list[list[int]]:
    """Groups examples of similar size into shuffled batches of up to BATCH_PIECES pieces, including padding."""
    keys: Array = np.array(sizes, float) * rng.uniform(0.85, 1.15, len(sizes))
    batches = cut_batches(np.argsort(keys, kind="stable"), sizes, BATCH_PIECES)
    return [batches[i] for i in rng.permutation(len(batches))]
