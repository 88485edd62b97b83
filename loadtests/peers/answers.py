"""From texts to answers, for the peers, which batch requests and call one function."""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtests.peers.model import Model
from loadtests.peers.texts import TEXTS
from service.settings import load_settings

ENDPOINT = os.environ.get("PEER_ENDPOINT", "tag")  # or "classify": what the peer serves
WORKERS = int(os.environ.get("PEER_WORKERS", "2"))  # processes with a model
MOST = load_settings().batch_sizes[-1]  # requests in a batch


class Answers:
    """Tags or classifies batches of texts."""

    def __init__(self) -> None:
        """Loads and warms up the model, and waits for the other workers."""
        self._texts = TEXTS[ENDPOINT]()
        self._model = Model(ENDPOINT)
        wait_for_others()

    def __call__(self, batch: Sequence[str]) -> list[dict[str, Any]]:
        """Returns the answer to each text."""
        texts = [self._texts.read(text) for text in batch]
        outputs = iter(self._model([piece for text in texts for piece in text.pieces]))
        return [self._texts.answer(text, [next(outputs) for _ in text.pieces]) for text in texts]


def wait_for_others() -> None:
    """Returns when all workers have come here: the peers answer as soon as one worker is warm, at half their speed."""
    folder = Path(tempfile.gettempdir())  # a new one for each server, see `loadtests.peer_servers`
    (folder / f"warm-{os.getpid()}").touch()
    while sum(1 for _ in folder.glob("warm-*")) < WORKERS:
        time.sleep(0.1)
