"""Compiles functions with XLA, and runs them on a device."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from service.errors import DeviceFailed


def compiled(function: Callable[..., Any], *specs: Any) -> Any:
    """Traces a function of tensors that have these specs. XLA compiles it when it is first called with a shape."""
    return tf.function(function, jit_compile=True, autograph=False).get_concrete_function(*specs)


def on_all_cores(work: Iterable[Callable[[], None]]) -> Iterator[None]:
    """Makes all calls, as many at a time as there are cores; yields when one is done."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        futures = [pool.submit(call) for call in work]
        try:
            for future in as_completed(futures):
                future.result()
                yield
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def running(device: str) -> Iterator[None]:
    """Runs the block on a device. Raises DeviceFailed for whatever fails there."""
    try:
        with tf.device(device):
            yield
    except tf.errors.OpError as error:
        raise DeviceFailed(f"the device failed: {error.message}") from error
