"""Compiles functions with XLA, and runs them on a device."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from service.backend.priority import start_of_compilation
from service.backend.tensorflow_private import TracedFunction
from service.errors import MACHINE_ERRORS, DeviceFailed


def compiled(function: Callable[..., dict[str, Any]], *specs: Any) -> TracedFunction:
    """Traces a function from tensors of these specs to tensors by name. XLA compiles it when it is called."""
    return TracedFunction(tf.function(function, jit_compile=True, autograph=False).get_concrete_function(*specs))


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


@contextmanager
def on_device(device: str) -> Iterator[None]:
    """Runs the block on a device. Converts any error to DeviceFailed."""
    try:
        with tf.device(device):
            yield
    except tf.errors.OpError as error:
        raise device_failed(error) from system_error(error)


def device_failed(error: tf.errors.OpError) -> DeviceFailed:
    """Returns what TensorFlow has raised as an error of the service."""
    return DeviceFailed(f"the device failed: {error.message}")


def system_error(error: Exception) -> Exception:
    """Returns the OSError behind an error of TensorFlow, by the text of its message; otherwise the error itself."""
    for number in MACHINE_ERRORS:
        if f"; {os.strerror(number)}" in str(error):
            return OSError(number, str(error))
    return error
