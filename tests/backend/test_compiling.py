"""Functions are compiled from StableHLO modules, which the cache keeps; errors of TensorFlow are the service's."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from service.backend.cache import NO_CACHE, ExecutableCache
from service.backend.compiling import Compiler, DeviceErrors
from service.backend.tensorflow_private import TracedFunction
from service.errors import DeviceFailed, is_machine_fault

Function = Callable[[Any], dict[str, Any]]


@pytest.fixture
def weights() -> Any:
    return tf.Variable([[1.0, 2.0], [3.0, 4.0]])


@pytest.fixture
def looped(weights: Any) -> Function:
    def function(rows: Any) -> dict[str, Any]:
        """Reads a variable in a loop, whose copies are of XLA's own dialect; gives two outputs of two types."""
        _, sums = tf.while_loop(lambda i, _: i < 3, lambda i, sums: (i + 1, sums @ weights), (0, rows))
        return {"sums": sums, "best": tf.argmax(sums, axis=1, output_type=tf.int32)}

    return function


def trace(compiler: Compiler, function: Function) -> TracedFunction:
    return compiler.trace("looped", function, tf.TensorSpec([None, 2], tf.float32))


def modules(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.rglob("*.mlir")]


@pytest.fixture
def cache(tmp_path: Path) -> ExecutableCache:
    executables = ExecutableCache(tmp_path)
    executables.place.mkdir()
    return executables


@pytest.mark.parametrize("rows", [1, 5])
def test_what_is_compiled_computes_to_the_bit_what_its_graph_does(rows, looped, weights, cache, tmp_path):
    compiler = Compiler("/CPU:0", cache, "graph", f"model {rows}")
    traced = trace(compiler, looped)
    inputs = tf.random.stateless_uniform([rows, 2], [1, rows])
    expected = traced(inputs)
    compiled = compiler.compile(traced, tf.zeros([rows, 2]))
    found = compiled(inputs)
    assert found.keys() == expected.keys() == {"sums", "best"}
    for name, values in expected.items():
        assert found[name].numpy().tobytes() == values.numpy().tobytes()
    (module,) = modules(tmp_path)
    assert "stablehlo.while" in module
    weights.assign(weights * 2.0)
    assert compiled(inputs)["sums"].numpy().tolist() == (8.0 * found["sums"]).numpy().tolist(), (
        "they are read each time"
    )


def test_a_module_that_was_made_before_is_compiled_without_making_it_again(looped, cache, tmp_path, monkeypatch):
    first = Compiler("/CPU:0", cache, "graph", "model")
    compiled = first.compile(trace(first, looped), tf.zeros([3, 2]))

    def made_again(*_: Any) -> str:
        raise AssertionError

    monkeypatch.setattr("service.backend.compiling.to_module", made_again)
    second = Compiler("/CPU:0", cache, "graph", "of the same graph")
    again = second.compile(trace(second, looped), tf.zeros([3, 2]))
    assert again.name == compiled.name, "TensorFlow compiles a name once"
    with pytest.raises(AssertionError):
        second.compile(trace(second, looped), tf.zeros([4, 2]))
    assert len(modules(tmp_path)) == 1


def test_a_module_that_was_made_for_a_variable_of_another_shape_is_made_again(cache, tmp_path):
    for rows in (4, 3):
        table = tf.Variable(tf.range(rows))
        compiler = Compiler("/CPU:0", cache, "graph", f"table of {rows}")
        traced = compiler.trace("last", lambda i: {"value": tf.gather(table, i)}, tf.TensorSpec([None], tf.int32))  # noqa: B023
        compiled = compiler.compile(traced, tf.zeros([2], tf.int32))
        assert compiled(tf.constant([0, rows - 1]))["value"].numpy().tolist() == [0, rows - 1]
    assert len(modules(tmp_path)) == 2


def test_a_function_that_stablehlo_cannot_express_is_compiled_from_its_graph(looped, monkeypatch):
    monkeypatch.setattr("service.backend.compiling.to_module", lambda *_: "")
    compiler = Compiler("/CPU:0", NO_CACHE, "graph", "inexpressible")
    traced = trace(compiler, looped)
    assert compiler.compile(traced, tf.zeros([2, 2])) is traced


def test_a_function_that_xla_cannot_compile_is_a_failure_of_the_device():
    compiler = Compiler("/CPU:0")
    traced = trace(compiler, lambda rows: {"y": tf.strings.as_string(rows)})
    with pytest.raises(DeviceFailed, match="the device failed: "):
        compiler.compile(traced, tf.zeros([2, 2]))


def test_an_error_of_the_system_in_tensorflow_is_a_fault_of_the_machine(tmp_path):
    with pytest.raises(DeviceFailed, match="No space left on device") as failed, DeviceErrors():
        tf.io.write_file("/dev/full", "x" * 100_000)
    assert isinstance(failed.value.__cause__, OSError)
    assert failed.value.__cause__.errno == errno.ENOSPC
    assert is_machine_fault(failed.value)
    with pytest.raises(DeviceFailed) as failed, DeviceErrors():
        tf.io.read_file(str(tmp_path / "none"))
    assert not is_machine_fault(failed.value)
