"""Polls the model store and `serving.json` in a background thread, since checksums take time."""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from service.artifact.manifest import TaskName
from service.backend.priority import Priority, set_priority
from service.errors import ConfigurationError, NotPossible
from service.files import fingerprint
from service.settings import Settings
from service.store.registry import Registry
from service.store.serving import Serving, resolve, write_defaults
from service.store.serving_config import ServingConfig, read_serving, serving_path
from service.types import ModelKey

log = logging.getLogger("tagwerk.supervisor")


class StoreWatch:
    """Determines which versions should serve, and repeats that periodically.

    A failed poll is logged and changes nothing: the last result stays valid.
    """

    def __init__(self, settings: Settings) -> None:
        """Resolves once, synchronously. Raises ConfigurationError if the store is missing or empty."""
        self._settings = settings
        self._registry = Registry(settings.model_store, settings.model_signers, settings.load)
        place = settings.model_store.absolute()
        self._config = ServingConfig()
        self._adopt(read_serving(settings))
        self._defaults: Mapping[TaskName, str] = {}
        self._failures: dict[str, str | None] = {}
        self._awaited: set[ModelKey] = set()
        try:
            if not self._registry.keys():
                raise ConfigurationError(f"the model store {place} holds no <name>/<version>/manifest.json")
            self.found = self._resolve()
        except OSError as error:
            raise ConfigurationError(f"the model store {place} cannot be read: {error}") from error
        # Verifying a new version takes a second of a processor, and requests need it more.
        self._thread = ThreadPoolExecutor(1, "store", partial(set_priority, Priority.LOW))
        self._polling: Future[Serving] | None = None
        self._polled = time.monotonic()
        self._written = fingerprint(serving_path(settings))
        self._again = False  # something changed during a running poll, whose result is therefore ignored

    @property
    def polling(self) -> bool:
        """True while a poll runs, or is to follow at once, since a version has been refused for instance."""
        return self._again or self._polling is not None

    def poll(self) -> Serving | None:
        """Starts a poll when one is due; returns the result of the last one, once."""
        path, interval = serving_path(self._settings), self._settings.store_interval_seconds
        if self._polling is None:
            written = fingerprint(path)
            due = written != self._written or time.monotonic() - self._polled >= interval
            if self._again or (interval and due):
                self._again, self._written = False, written
                self._polling = self._thread.submit(self._resolve)
            return None
        if not self._polling.done():
            return None
        polling, self._polling = self._polling, None
        self._polled = time.monotonic()
        if self._again:
            return None
        try:
            self.found = polling.result()
        except Exception as error:  # whatever it is, the current versions keep serving
            self._log_once("store", f"cannot read the model store: {error}")
            return None
        self._log_once("store", None)
        return self.found

    def refuse(self, key: ModelKey, reason: str) -> None:
        """Marks a version as refused, until its files change."""
        self._registry.refuse(key, reason)
        self._again = True

    def verify_again(self, key: ModelKey) -> None:
        """Makes the next poll verify the files of a version again."""
        self._registry.verify_again(key)
        self._again = True

    def _resolve(self) -> Serving:
        try:
            self._adopt(read_serving(self._settings))
            self._log_once("serving config", None)
        except ConfigurationError as error:
            self._log_once("serving config", f"{error}; the previous serving config stays in effect")
        found = resolve(self._registry, self._config, self._defaults)
        for key in set(found.awaited) - self._awaited:
            log.info("%s is awaited: it is not in the store yet", key)
        self._awaited = set(found.awaited)
        self._update_defaults(found)
        return found

    def _adopt(self, config: ServingConfig) -> None:
        """Takes a serving config, and logs what it changes."""
        for name in sorted(self._config.models.keys() | config.models.keys()):
            before, now = self._config.of_model(name), config.of_model(name)
            if now != before:
                log.info("%s: serves %s; before: %s (%s)", name, now, before, self._author())
        self._config = config

    def _author(self) -> str:
        """Returns the path of the serving config, with the user that owns the file."""
        path = serving_path(self._settings)
        try:
            return f"{path}, written by the user {path.owner()}"
        except (OSError, KeyError):  # no such file, or a user without a name
            return str(path)

    def _log_once(self, what: str, failure: str | None) -> None:
        """Logs a failure unless the last poll failed in the same way; None marks a success."""
        if failure is not None and failure != self._failures.get(what):
            log.error("%s", failure)
        self._failures[what] = failure

    def _update_defaults(self, found: Serving) -> None:
        """Keeps the default models, and writes new defaults to `serving.json` where that is possible."""
        for task, name in found.defaults.items():
            if (before := self._defaults.get(task)) != name:
                by = self._author() if self._config.defaults.get(task) == name else "the first by name"
                log.info("the default model for %s is %s; before: %s (%s)", task, name, before or "none", by)
        self._defaults = found.defaults
        try:
            write_defaults(self._settings, found, self._config)
            self._log_once("defaults", None)
        except (NotPossible, ConfigurationError) as error:
            self._log_once("defaults", f"the default models hold as long as this process runs: {error}")
