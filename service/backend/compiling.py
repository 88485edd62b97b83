"""Compiles functions with XLA, and runs them on a device."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import tensorflow as tf

from service.backend.cache import NO_CACHE, ExecutableCache
from service.backend.priority import start_of_compilation
from service.backend.tensorflow_private import (
    TracedFunction,
    call_module,
    compiler_ir,
    names_from,
    read_variable,
    reproducible_names,
)
from service.errors import MACHINE_ERRORS, DeviceFailed

COPY = re.compile(r"mhlo\.copy (%\S+) : (tensor<\S+>)")  # of XLA's own dialect, as all that begins so
OTHER = re.compile(r'= "?mhlo\.')


class Compiler:
    """Traces the functions of a model, and compiles them with XLA for a device.

    On a processor each is compiled from a module in StableHLO, the portable form of XLA's operations, which the cache
    keeps beside the executable. TensorFlow converts the graph of a function to such operations at each start, even if
    the executable is cached: for a tagger's step that takes 0.13 s of processor time; from a module it takes 0.05 s.

    Attributes:
        device: TensorFlow's name of it.
    """

    def __init__(self, device: str, cache: ExecutableCache = NO_CACHE, graph: str = "", model: str = "") -> None:
        """`graph` is the same for models whose functions are the same; see `reproducible_names`."""
        self.device = device
        self._cache = cache
        self._graph = graph
        self._model = model

    def trace(self, name: str, function: Callable[..., dict[str, Any]], *specs: Any) -> TracedFunction:
        """Traces a function from tensors of these specs to tensors by name. `name`: of the function, in the graph."""
        with tf.device(self.device), reproducible_names(f"{self._graph} {name}", self._model):
            return _traced(function, specs)

    def compile(self, function: TracedFunction, *inputs: Any) -> TracedFunction:
        """Returns a function that is compiled for the shapes of these inputs. Raises DeviceFailed."""
        with tf.device(self.device), DeviceErrors():
            if self.device.startswith("/CPU"):
                function = self._as_module(function, [tf.TensorSpec(values.shape, values.dtype) for values in inputs])
            function(*inputs)
        return function

    def _as_module(self, function: TracedFunction, specs: Sequence[Any]) -> TracedFunction:
        """Returns a function that calls the module of a function; the function itself if it has none."""
        shapes = [spec.shape.as_list() for spec in specs]
        key = hashlib.sha256(function.definition() + f" {self._graph} {shapes}".encode()).hexdigest()
        if not (module := self._cache.module(key, partial(to_module, function, specs))):
            return function

        def call(*given: Any) -> dict[str, Any]:
            values = [*given, *map(read_variable, function.captured)]
            return dict(zip(function.outputs, call_module(module, values, function.types), strict=True))

        with names_from(key):
            return _traced(call, specs)


def _traced(function: Callable[..., dict[str, Any]], specs: Sequence[Any]) -> TracedFunction:
    return TracedFunction(tf.function(function, jit_compile=True, autograph=False).get_concrete_function(*specs))


def to_module(function: TracedFunction, specs: Sequence[Any]) -> str:
    """Returns a function for inputs of these shapes as a module on the processor; "" if it cannot be one."""
    try:
        module = compiler_ir(function, specs, "stablehlo")
    except ValueError:  # calling the function raises the same, as an error of TensorFlow
        return ""
    module = COPY.sub(r"stablehlo.reshape \1 : (\2) -> \2", module)
    return "" if OTHER.search(module) else module


def on_all_cores(work: Iterable[Callable[[], None]], beside: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Runs functions in parallel, one per core; yields after each of `work`. Then all are done.

    For their priority see `service.backend.priority`.
    """
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), initializer=start_of_compilation()) as pool:
        uncounted = pool.submit(beside)
        futures = [pool.submit(call) for call in work]
        try:
            for future in as_completed(futures):
                future.result()
                yield
            uncounted.result()
        finally:
            pool.shutdown(cancel_futures=True)


class DeviceErrors(AbstractContextManager["DeviceErrors"]):
    """Converts TensorFlow's errors in a block to DeviceFailed."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, tf.errors.OpError):
            raise DeviceFailed(f"the device failed: {error.message}") from system_error(error)


def system_error(error: Exception) -> Exception:
    """Returns the OSError behind an error of TensorFlow, by the text of its message; otherwise the error itself."""
    for number in MACHINE_ERRORS:
        if f"; {os.strerror(number)}" in str(error):
            return OSError(number, str(error))
    return error
