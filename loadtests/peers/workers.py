"""The processes of a peer, which serve once all of them are warm."""

import os
import tempfile
import time
from pathlib import Path

WORKERS = int(os.environ.get("PEER_WORKERS", "2"))  # processes with a model


def wait_for_others() -> None:
    """Returns when all workers have come here: the peers answer as soon as one worker is warm, at half their speed."""
    folder = Path(tempfile.gettempdir())  # a new one for each server, see `loadtests.peer_servers`
    (folder / f"warm-{os.getpid()}").touch()
    while sum(1 for _ in folder.glob("warm-*")) < WORKERS:
        time.sleep(0.1)
