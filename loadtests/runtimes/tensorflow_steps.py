"""The step in TensorFlow: as the service compiles it, and with the input product taken in it."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from loadtests.runtimes.weights import HEADS, Weights
from service.artifact.manifest import SAVED_MODEL
from service.types import Array, Tensors
from training.cells import LSTM
from training.cells.unroll import unroll

Run = Callable[[Tensors], dict[str, Array]]


def make(weights: Weights, folder: Any) -> dict[str, Run]:
    """Returns the step by XLA with the input product looked up, by XLA with the product, and as TensorFlow's graph."""
    loaded = tf.saved_model.load(str(folder / SAVED_MODEL))
    tag = loaded.signatures["tag_from_table"]
    kernel = tf.constant(weights.kernel.transpose(1, 0, 2).reshape(weights.kernel.shape[1], -1))  # [I, D * 4 H]
    bias = tf.constant(weights.bias.reshape(-1))
    table = tf.Variable(tf.zeros([16_384, bias.shape[0]]))

    def best(products: Any, places: Any, lengths: Any) -> dict[str, Any]:
        _ = loaded  # it owns the variables
        outputs = tag(table=products, rows=places, lengths=lengths)
        return {name: values for name, values in outputs.items() if name != "logits"}

    def looked_up(places: Any, lengths: Any) -> dict[str, Any]:
        return best(tf.convert_to_tensor(table), places, lengths)

    def whole(inputs: Any, lengths: Any) -> dict[str, Any]:
        b, t = tf.unstack(tf.shape(inputs)[:2])
        products = tf.reshape(tf.tensordot(inputs, kernel, 1) + bias, [-1, bias.shape[0]])
        return best(products, tf.reshape(tf.range(b * t), [b, t]), lengths)

    places_spec, lengths_spec = (tf.TensorSpec([None] * rank, tf.int32) for rank in (2, 1))
    inputs_spec = tf.TensorSpec([None, None, kernel.shape[0]], tf.float32)
    xla_looked_up = tf.function(looked_up, jit_compile=True).get_concrete_function(places_spec, lengths_spec)
    xla_whole = tf.function(whole, jit_compile=True).get_concrete_function(inputs_spec, lengths_spec)
    graph = tf.function(whole).get_concrete_function(inputs_spec, lengths_spec)
    places: dict[int, Array] = {}  # of the batch that the table holds the products of

    def run_looked_up(batch: Tensors) -> dict[str, Array]:
        if id(batch) not in places:
            b, t, _ = batch["inputs"].shape
            rows = tf.tensordot(tf.constant(batch["inputs"]), kernel, 1) + bias
            table[: b * t].assign(tf.reshape(rows, [b * t, -1]))
            places.clear()
            places[id(batch)] = np.arange(b * t, dtype=np.int32).reshape(b, t)
        return as_arrays(xla_looked_up(tf.constant(places[id(batch)]), tf.constant(batch["lengths"])))

    def on_arrays(step: Callable[..., Any]) -> Run:
        return lambda batch: as_arrays(step(tf.constant(batch["inputs"]), tf.constant(batch["lengths"])))

    return {"XLA, as served": run_looked_up, "XLA": on_arrays(xla_whole), "TensorFlow graph": on_arrays(graph)}


def reference(weights: Weights) -> Run:
    """Returns the step by XLA of the network that the tagger may cost as much as: words 128 wide, 256 units.

    It has heads like the tagger's, and weights that nothing was learnt with.
    """
    width, units = 128, 256
    cell = LSTM(width, units, directions=2)
    heads = [keras.layers.Dense(labels) for labels in weights.labels]

    def best(inputs: Any, lengths: Any) -> dict[str, Any]:
        outputs, _ = unroll(cell, inputs, lengths)
        return _best_of({name: tf.nn.softmax(head(outputs)) for name, head in zip(HEADS, heads, strict=True)})

    step = tf.function(best, jit_compile=True)
    return lambda batch: as_arrays(step(tf.constant(batch["inputs"][..., :width]), tf.constant(batch["lengths"])))


def as_arrays(outputs: dict[str, Any]) -> dict[str, Array]:
    """Returns the outputs in NumPy, which waits for them."""
    return {name: value.numpy() for name, value in outputs.items()}


def _best_of(probabilities: dict[str, Any]) -> dict[str, Any]:
    """Returns the best label of each head, and its probability  # [B, T] each, from those of all  # [B, T, K]."""
    return {
        **{f"{head}_id": tf.argmax(probabilities[head], -1, output_type=tf.int32) for head in HEADS},
        **{f"{head}_probability": tf.reduce_max(probabilities[head], -1) for head in HEADS},
    }
