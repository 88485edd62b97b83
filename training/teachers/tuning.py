"""How a teacher is tuned: AdamW, the pretrained layers slowly, what stands on them fast, both rates falling to zero."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from service.artifact import Metric
from training.dataset import Array
from training.progress import Reporter

BATCH_PIECES = 1000
READ_PIECES = 4000  # in a batch where nothing is learnt
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
    """Tunes a network, and keeps its weights; or reads them, where that has been done.

    Args:
        sizes: pieces of each example.
        loss: of the examples of a batch, by their indices.
        measure: the network on dev.
        path: of the weights.
        rates: the highest learning rates: of the pretrained encoder, and of the rest.
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
    steps = epochs * len(batches(sizes, BATCH_PIECES))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(step / (WARMUP * steps), max(0.0, 1 - step / steps))
    )
    with Reporter(console, epochs, 0) as report:
        for epoch in range(1, epochs + 1):
            network.train()
            rows = batches(sizes, BATCH_PIECES, rng)
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


def batches(sizes: Sequence[int], most: int, rng: np.random.Generator | None = None) -> list[list[int]]:
    """Cuts examples of similar size into batches of up to `most` pieces, padding too, shuffled if `rng` is given."""
    keys: Array = np.array(sizes, float)
    if rng:
        keys *= rng.uniform(0.85, 1.15, len(keys))
    cut: list[list[int]] = [[]]
    longest = 0
    for i in np.argsort(keys, kind="stable").tolist():
        longest = max(longest, sizes[i])
        if cut[-1] and longest * (len(cut[-1]) + 1) > most:
            cut.append([])
            longest = sizes[i]
        cut[-1].append(i)
    return [cut[i] for i in rng.permutation(len(cut))] if rng else cut
