"""Errors of TensorFlow as errors of the service."""

import errno

import pytest
import tensorflow as tf

from service.backend.compiling import DeviceErrors
from service.errors import DeviceFailed, is_machine_fault


def test_an_error_of_the_system_in_tensorflow_is_a_fault_of_the_machine(tmp_path):
    with pytest.raises(DeviceFailed, match="No space left on device") as failed, DeviceErrors():
        tf.io.write_file("/dev/full", "x" * 100_000)
    assert isinstance(failed.value.__cause__, OSError)
    assert failed.value.__cause__.errno == errno.ENOSPC
    assert is_machine_fault(failed.value)
    with pytest.raises(DeviceFailed) as failed, DeviceErrors():
        tf.io.read_file(str(tmp_path / "none"))
    assert not is_machine_fault(failed.value)
