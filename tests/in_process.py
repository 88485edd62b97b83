"""Lets the pipelines with an engine in this process use models on a test device."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from service.artifact.manifest import ModelVersion
from service.commands.annotate import command
from service.engine.engine import Engine
from service.engine.loader import ModelLoading
from service.pipelines import in_process
from service.process import memory
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.http.scene import SequenceModelDevice, classifier, repeater, tagger, without_lemmas


def use_test_device(monkeypatch: pytest.MonkeyPatch, *, lemmas: bool = True) -> list[str]:
    """Has each engine that is started use a test device, for a store with a classifier, a tagger and a language model.

    The tagger gives lemmas or does not. Returns a list that gets the models of each engine.
    """
    loaded: list[str] = []

    def served(settings: Settings, *, every_model: bool = False) -> tuple[list[ModelVersion], dict[str, str]]:
        versions = [classifier(), tagger() if lemmas else without_lemmas("tagger"), repeater()]
        folders = [settings.model_store / version.key.name / version.key.version for version in versions]
        defaults = {str(version.manifest.task): version.key.name for version in versions}
        return [replace(version, folder=folder) for version, folder in zip(versions, folders, strict=True)], defaults

    monkeypatch.setattr(command, "served", served)
    monkeypatch.setattr(in_process, "served", served)
    use_device(monkeypatch, SequenceModelDevice, loaded)
    monkeypatch.setattr(memory, "tune", lambda *_: None)
    return loaded


def use_device(
    monkeypatch: pytest.MonkeyPatch, make_device: Callable[[], SequenceModelDevice], loaded: list[str] | None = None
) -> None:
    """Has each engine that is started use a device; `loaded` gets its models."""

    def make_engine(settings: Settings, versions: Sequence[ModelVersion], metrics: Metrics, prepare: Any) -> Engine:
        if loaded is not None:
            loaded.extend(str(version.key) for version in versions)
        device = make_device()
        loading = ModelLoading(settings, versions, lambda: device, metrics, prepare=prepare)
        return Engine(settings, loading, metrics, schedule=device.schedule)

    monkeypatch.setattr("service.engine.tensorflow_engine.make_engine", make_engine)
