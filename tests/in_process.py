"""Lets the pipelines with an engine in this process use models on a test device."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from service.artifact.version import ModelVersion
from service.commands.annotate import command
from service.engine.local import LocalEngine
from service.pipelines import in_process
from service.process import garbage_collection
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.http.scene import SequenceModelDevice, classifier, repeater, tagger


def use_test_device(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has each engine that is started use a test device, for a store with a classifier, a tagger and a language model.

    Returns a list that gets the models of each engine.
    """
    loaded: list[str] = []

    def served(settings: Settings) -> tuple[list[ModelVersion], dict[str, str]]:
        versions = [classifier(), tagger(), repeater()]
        folders = [settings.model_store / version.key.name / version.key.version for version in versions]
        return [replace(version, folder=folder) for version, folder in zip(versions, folders, strict=True)], {}

    def make_engine(settings: Settings, versions: Sequence[ModelVersion], metrics: Metrics) -> LocalEngine:
        loaded.extend(str(version.key) for version in versions)
        return LocalEngine(settings, versions, SequenceModelDevice, metrics)

    monkeypatch.setattr(command, "served", served)
    monkeypatch.setattr(in_process, "served", served)
    monkeypatch.setattr("service.engine.tensorflow_engine.make_engine", make_engine)
    monkeypatch.setattr(garbage_collection, "tune", lambda: None)
    return loaded
