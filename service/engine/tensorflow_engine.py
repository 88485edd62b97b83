"""Makes an engine that runs models with TensorFlow, in this process."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from service.artifact.version import ModelVersion
from service.backend.base import Backend
from service.backend.cache import CompilationLocks, cache_executables
from service.engine.engine import Engine
from service.engine.loader import LoadProgress, ModelLoading
from service.engine.priority import Call, call_directly
from service.errors import ConfigurationError, install
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import ModelKey

BACKEND = "service.backend.saved_model"


def import_tensorflow() -> ModuleType:
    """Imports TensorFlow, which takes seconds; returns the module of its backend. Raises ConfigurationError."""
    if (imported := sys.modules.get(BACKEND)) is not None:
        return imported
    # XLA warns for each cached executable that two tuning flags are not among the processor's features, which they are
    # not meant to be.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # unused by XLA, and logged at every start
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # not installed: keeps TensorFlow from importing Keras, 1 s
    try:
        return import_module(BACKEND)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "tensorflow":
            raise
        raise ConfigurationError(f"TensorFlow is not installed: {install('cpu')}; gpu for NVIDIA GPUs") from None


def make_engine(
    settings: Settings,
    versions: Sequence[ModelVersion],
    metrics: Metrics,
    *,
    prepare: Callable[[ModelVersion], object] = lambda version: None,
    call: Call = call_directly,
    on_progress: Callable[[LoadProgress], None] = lambda progress: None,
    on_unread: Callable[[ModelKey, str], None] = lambda key, reason: None,
) -> Engine:
    """Returns a TensorFlow engine, not started.

    For `prepare`, `call`, `on_progress` and `on_unread` see `ModelLoading`. The start raises ConfigurationError if
    TensorFlow is not installed.
    """

    def make_backend() -> Backend:
        backend = call(import_tensorflow)
        if settings.xla_cache:
            cache_executables(Path(settings.xla_cache))
        made: Backend = backend.TensorFlowBackend(settings.device)
        return made

    locks = CompilationLocks(Path(settings.xla_cache) if settings.xla_cache else None)
    loading = ModelLoading(
        settings,
        versions,
        make_backend,
        metrics,
        prepare=prepare,
        call=call,
        on_progress=on_progress,
        on_unread=on_unread,
        locks=locks,
    )
    return Engine(settings, loading, metrics)
