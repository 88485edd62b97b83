"""Reads the dictionaries of models from a folder, and again when their files change."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from service.errors import ConfigurationError
from service.files import fingerprint
from service.settings import Settings
from service.store.loading import AnyTask
from service.tasks.dictionary import Dictionary, parse
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging
from service.telemetry.metrics import Metrics
from service.types import ModelKey

log = logging.getLogger("tagwerk.server")

CHECK_SECONDS = 1.0  # between checks whether a file has changed
MOST_BYTES = 16 * 2**20  # of a file


class Dictionaries:
    """Gives tasks the dictionaries of their models, `<model>.tsv` in a folder.

    A file that is not valid changes nothing: what was read before stays. One that is removed ends its replacements.

    Args:
        count: returns, for a model's name, a function to count the words that its dictionary replaces or ignores.
    """

    def __init__(self, folder: Path, count: Callable[[str], Callable[[int], None]]) -> None:
        self._folder, self._count = folder, count
        self._read: dict[ModelKey, tuple[int, ...]] = {}  # the fingerprints of the files that have been read

    @classmethod
    def of(cls, settings: Settings, metrics: Metrics) -> Self | None:
        """Returns the dictionaries in the folder of the settings; None if they name no folder."""
        if not settings.overrides_dir:
            return None
        return cls(Path(settings.overrides_dir), lambda model: metrics.dictionary_words.labels(model).inc)

    def update(self, tasks: Iterable[AnyTask]) -> None:
        """Gives tasks the dictionaries that are new or have changed. May be called from any thread."""
        for task in tasks:
            if isinstance(task, Tagging | Sentiment):
                self._update(task)

    def _update(self, task: Tagging | Sentiment) -> None:
        key = task.version.key
        path = self._folder / f"{key.name}.tsv"
        found = fingerprint(path)
        if found == self._read.get(key, ()):
            return
        self._read[key] = found
        if not found:
            task.dictionary = None
            log.info("%s: the dictionary %s is gone", key, path)
            return
        try:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                raise ConfigurationError(f"more than {MOST_BYTES:,} bytes; right: fewer")
            upos = task.version.manifest.labels["upos"] if isinstance(task, Tagging) else None
            entries = parse(content.decode("utf-8-sig"), upos)
        except (OSError, UnicodeDecodeError, ConfigurationError) as error:
            stays = "what was read before stays" if task.dictionary else "nothing is replaced"
            log.error("%s, %s; %s", path, error, stays)
            return
        task.dictionary = Dictionary(entries, self._count(key.name)) if entries else None
        log.info("%s: %d entries of the dictionary %s", key, len(entries), path)
