"""Makes an engine that runs models with TensorFlow, in this process."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from service import backend
from service.artifact.manifest import ModelVersion
from service.backend.base import Backend
from service.backend.cache import ExecutableCache
from service.backend.tensorflow_subset import import_subset
from service.engine.engine import Engine
from service.engine.loader import ModelLoading, Prepare
from service.errors import ConfigurationError, install
from service.settings import Settings
from service.telemetry.metrics import Metrics

BACKEND = f"{backend.__name__}.saved_model"


def import_tensorflow(*, whole: bool = True) -> ModuleType:
    """Imports TensorFlow, which takes seconds; returns the module of its backend. Raises ConfigurationError.

    Without `whole`, imports only what the backend uses, for a process that runs nothing else.
    """
    if (imported := sys.modules.get(BACKEND)) is not None:
        return imported
    # XLA warns for each cached executable that two tuning flags are not among the processor's features, which they are
    # not meant to be.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # unused by XLA, and logged at every start
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # not installed: keeps TensorFlow from importing Keras, 1 s
    if not whole:
        import_subset()
    try:
        return import_module(BACKEND)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "tensorflow":
            raise
        raise ConfigurationError(f"TensorFlow is not installed: {install('cpu')}; gpu for NVIDIA GPUs") from None


def make_engine(
    settings: Settings, versions: Sequence[ModelVersion], metrics: Metrics, prepare: Prepare, **more: Any
) -> Engine:
    """Returns a TensorFlow engine, not started; for `prepare` and what else there may be see `ModelLoading`.

    The start raises ConfigurationError if TensorFlow is not installed.
    """
    cache = ExecutableCache(Path(settings.xla_cache) if settings.xla_cache else None)

    def make_backend() -> Backend:
        tensorflow = import_tensorflow()
        made: Backend = tensorflow.TensorFlowBackend(settings.device, cache)
        return made

    loading = ModelLoading(settings, versions, make_backend, metrics, prepare=prepare, cache=cache, **more)
    return Engine(settings, loading, metrics)
