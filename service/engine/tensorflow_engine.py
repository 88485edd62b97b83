"""Makes an engine that runs models with TensorFlow, in this process."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

from service.artifact.version import ModelVersion
from service.backend.base import Backend
from service.backend.cache import cache_executables, compilation_lock
from service.engine.loader import LoadProgress
from service.engine.local import LocalEngine
from service.engine.priority import Call, call_directly
from service.errors import ConfigurationError
from service.settings import Settings
from service.telemetry.metrics import Metrics

BACKEND = "service.backend.saved_model"


def import_tensorflow(settings: Settings) -> ModuleType:
    """Imports TensorFlow, which takes seconds; returns the module of its backend. Raises ConfigurationError."""
    if (imported := sys.modules.get(BACKEND)) is not None:
        return imported
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if settings.xla_cache:
        cache_executables(Path(settings.xla_cache))
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # unused by XLA, and logged at every start
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # not installed: keeps TensorFlow from importing Keras, 1 s
    try:
        return import_module(BACKEND)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "tensorflow":
            raise
        gpu = "for NVIDIA GPUs, pip install 'tagwerk[gpu]'"
        raise ConfigurationError(f"TensorFlow is not installed: pip install 'tagwerk[cpu]'; {gpu}") from None


def make_engine(
    settings: Settings,
    versions: Sequence[ModelVersion],
    metrics: Metrics,
    call: Call = call_directly,
    on_progress: Callable[[LoadProgress], None] = lambda progress: None,
) -> LocalEngine:
    """Returns a TensorFlow engine, not started.

    `call` sets the priority of loading; for `on_progress` see `Driver.load`. The start raises ConfigurationError if
    TensorFlow is not installed.
    """

    def make_backend() -> Backend:
        backend = call(partial(import_tensorflow, settings))
        made: Backend = backend.TensorFlowBackend(settings.device, settings.device_threads)
        return made

    def loading(stopped: Callable[[], bool]) -> AbstractContextManager[None]:
        return compilation_lock(Path(settings.xla_cache), stopped) if settings.xla_cache else nullcontext()

    return LocalEngine(settings, versions, make_backend, metrics, loading=loading, call=call, on_progress=on_progress)
