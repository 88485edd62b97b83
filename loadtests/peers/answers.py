"""From texts to answers, for the peers, which batch requests and call one function."""

import os
from collections.abc import Sequence
from typing import Any

from loadtests.peers.model import Model
from loadtests.peers.texts import TEXTS
from loadtests.peers.workers import wait_for_others
from service.settings import load_settings

ENDPOINT = os.environ.get("PEER_ENDPOINT", "tag")  # or "classify": what the peer serves
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
