"""Selects and configures the device that models run on."""

import tensorflow as tf

from service.errors import ConfigurationError


def choose_device(requested: str) -> str:
    """Returns TensorFlow's name of the device for "auto", "cpu" or "gpu", configured for inference.

    A step on a processor takes one thread. Can be configured once per process, before TensorFlow runs anything. Raises
    ConfigurationError for "gpu" if TensorFlow finds none.
    """
    gpus = tf.config.list_physical_devices("GPU") if requested != "cpu" else []
    if requested == "gpu" and not gpus:
        raise ConfigurationError(
            "TAGWERK_DEVICE=gpu, but TensorFlow sees no GPU: check the driver and that the installation has the "
            "[gpu] extra, or set TAGWERK_DEVICE=auto"
        )
    if requested == "cpu":
        tf.config.set_visible_devices([], "GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    return "/GPU:0" if gpus else "/CPU:0"
