"""Labels unlabelled text by teachers, chunk by chunk. An interrupted run repeats one chunk at most."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from training.data.dataset import Array
from training.report.progress import duration
from training.teachers.tuning import save_state
from training.teachers.vectors import WordVectors

CHUNK = 8_000  # sentences
TokenizedSentences = Sequence[tuple[str, ...]]


def label(
    sentences: TokenizedSentences,
    run: Callable[[TokenizedSentences, WordVectors], dict[str, Array]],
    folder: Path,
    console: Console,
) -> tuple[dict[str, Array], WordVectors]:
    """Runs teachers on all sentences, chunk by chunk, except on the chunks that an earlier run has written.

    Args:
        run: returns the outputs for some sentences, by name, and adds the vectors of their words.
        folder: of the files of the chunks.

    Returns:
        The outputs of all sentences, joined along their first axis, and the vectors of all words.
    """
    chunks = [sentences[i : i + CHUNK] for i in range(0, len(sentences), CHUNK)]
    found: dict[str, list[Array]] = {}
    vectors = WordVectors()
    for number, chunk in enumerate(chunks, start=1):
        path = folder / f"part-{number:03}.pt"
        if not path.exists():
            started, own = time.monotonic(), WordVectors()
            outputs = run(chunk, own)
            save_state(path, {"outputs": outputs, "vectors": own.arrays()})
            left = (time.monotonic() - started) * (len(chunks) - number)
            console.print(f"labelled: chunk {number} of {len(chunks)}, {duration(left)} left", highlight=False)
        written = torch.load(path, weights_only=False)  # by the lines above
        vectors.merge(written["vectors"])
        for name, array in written["outputs"].items():
            found.setdefault(name, []).append(array)
    return {name: np.concatenate(arrays) for name, arrays in found.items()}, vectors
