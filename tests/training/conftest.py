import functools
import gc
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from training import __main__ as command
from training.run import loop
from training.tasks import language_modelling

loop.set_threads(1)  # as training does, and before anything runs: more threads wait for each other in small graphs
delete_attribute = keras.Layer.__delattr__


def delete_without_collecting(layer: keras.Layer, name: str) -> None:
    """Deletes a weight of a layer without the garbage collection by Keras, which takes longer than to round a layer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda: 0)
        delete_attribute(layer, name)


keras.Layer.__delattr__ = delete_without_collecting
# Python 3.11 looks for the members of a protocol at each `isinstance`, which TensorFlow asks at each traced operation.
typing._get_protocol_attrs = functools.cache(typing._get_protocol_attrs)  # type: ignore[attr-defined]


@pytest.fixture(scope="session", autouse=True)
def unoptimized_graphs() -> None:
    """Makes TensorFlow run graphs as they are traced: most are run a few times, and optimizing takes longer."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(autouse=True)
def short_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes language models be measured after 16 characters of context: tiny texts repeat a verse of 60."""
    monkeypatch.setattr(language_modelling, "CONTEXT", 16)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns an empty folder, where runs keep their checkpoints."""
    monkeypatch.setenv("TAGWERK_RUNS_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs the command in an empty folder; returns its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "set_threads", lambda threads: None)  # other tests have used TensorFlow already
    for variable in ("TAGWERK_DATA_DIR", "TAGWERK_RUNS_DIR", "TAGWERK_MODEL_STORE"):
        monkeypatch.delenv(variable, raising=False)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["tagwerk-train", *arguments])
        return command.main()

    return run


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Computes with 64 bits, so that cells and NumPy agree to many digits."""
    with loop.precision("float64"):
        keras.config.set_floatx("float64")
        yield
        keras.config.set_floatx("float32")
