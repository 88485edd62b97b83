"""The step in TensorFlow: as the service compiles it, and with the input product taken in it."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from loadtests.runtimes.weights import HEADS, Weights
from service.artifact.manifest import SAVED_MODEL
from service.backend.tensorflow_private import TracedFunction
from service.types import Array, Tensors
from training.cells import LSTM
from training.cells.integers import round_rows
from training.cells.unroll import unroll
from training.models.tagger import Tagger, TaggerSizes

WORDS = 16_384  # rows of the table
DIRECTIONS = 2
Run = Callable[[Tensors], dict[str, Array]]


def make(weights: Weights, folder: Any) -> dict[str, Run]:
    """Returns the step that is served, in integers: with the input product looked up, with the product, uncompiled.

    And the first of them in floats.
    """
    loaded = tf.saved_model.load(str(folder / SAVED_MODEL))
    tag = loaded.signatures["tag_from_table"]
    kernel = tf.constant(weights.kernel.transpose(1, 0, 2).reshape(weights.kernel.shape[1], -1))  # [I, D * 4 H]
    bias = tf.constant(weights.bias.reshape(-1))
    width = tag.structured_input_signature[1]["table"].shape[-1]  # with the scores of lemma rules by a word alone
    passed = (width - bias.shape[0]) // DIRECTIONS  # columns behind the product of each direction
    empty = tf.zeros([WORDS, width])
    table = tf.Variable(empty)
    integers, scales = (tf.Variable(part) for part in round_rows(empty, DIRECTIONS))

    floats = in_floats(weights)

    def product(inputs: Any) -> Any:  # [..., I] -> [N, width]
        found = tf.reshape(tf.tensordot(inputs, kernel, 1) + bias, [-1, DIRECTIONS, bias.shape[0] // DIRECTIONS])
        return tf.reshape(tf.pad(found, [(0, 0), (0, 0), (0, passed)]), [-1, width])

    def best(integers: Any, scales: Any, places: Any, lengths: Any) -> dict[str, Any]:
        _ = loaded  # it owns the variables
        return dict(tag(table=integers, scales=scales, rows=places, lengths=lengths))

    def looked_up(places: Any, lengths: Any) -> dict[str, Any]:
        return best(tf.convert_to_tensor(integers), tf.convert_to_tensor(scales), places, lengths)

    def looked_up_in_floats(places: Any, lengths: Any) -> dict[str, Any]:
        return floats(tf.convert_to_tensor(table), places, lengths)

    def whole(inputs: Any, lengths: Any) -> dict[str, Any]:
        b, t = tf.unstack(tf.shape(inputs)[:2])
        rows = tf.reshape(tf.range(b * t), [b, t])
        return without_states(best(*round_rows(product(inputs), DIRECTIONS), rows, lengths))

    inputs_spec = tf.TensorSpec([None, None, kernel.shape[0]], tf.float32)
    lengths_spec = tf.TensorSpec([None], tf.int32)
    xla_whole = tf.function(whole, jit_compile=True).get_concrete_function(inputs_spec, lengths_spec)
    graph = tf.function(whole).get_concrete_function(inputs_spec, lengths_spec)
    places: dict[int, Array] = {}  # of the batch that the table holds the products of

    def on_places(step: Callable[..., Any]) -> Run:
        """Returns a step on one array, to one array besides the LSTM's outputs, which stay there: as in the service."""
        names: list[str] = []

        def packed(cells: Any) -> dict[str, Any]:
            found = step(cells[:, :-1], cells[:, -1])
            outputs = found.pop("outputs")
            names[:] = found
            return {"best": tf.stack([tf.bitcast(values, tf.int32) for values in found.values()]), "outputs": outputs}

        function = tf.function(packed, jit_compile=True)
        compiled = TracedFunction(function.get_concrete_function(tf.TensorSpec([None, None], tf.int32)))

        def run(batch: Tensors) -> dict[str, Array]:
            if id(batch) not in places:
                b, t, _ = batch["inputs"].shape
                rows = product(tf.constant(batch["inputs"]))
                for variable, part in zip(
                    (table, integers, scales), (rows, *round_rows(rows, DIRECTIONS)), strict=True
                ):
                    variable[: b * t].assign(part)
                places.clear()
                places[id(batch)] = np.arange(b * t, dtype=np.int32).reshape(b, t)
            cells = np.concatenate([places[id(batch)], batch["lengths"][:, None]], axis=1)
            arrays = zip(names, compiled(tf.constant(cells))["best"].numpy(), strict=True)
            return {name: values.view(np.float32) if "probability" in name else values for name, values in arrays}

        return run

    def on_arrays(step: Callable[..., Any]) -> Run:
        return lambda batch: as_arrays(step(tf.constant(batch["inputs"]), tf.constant(batch["lengths"])))

    return {
        "XLA, as served": on_places(looked_up),
        "XLA": on_arrays(xla_whole),
        "TensorFlow graph": on_arrays(graph),
        "XLA, float32": on_places(looked_up_in_floats),
    }


def in_floats(weights: Weights) -> Callable[..., dict[str, Any]]:
    """Returns the step with the input product looked up, in floats: table, rows, lengths -> outputs."""
    sizes = TaggerSizes(units=weights.units)
    tagger = Tagger(1, 1, dict(zip(HEADS, weights.labels, strict=True)), sizes)
    tagger.word_lstm.recurrent_kernel.assign(weights.recurrent_kernel)
    ends = np.cumsum(weights.labels)[:-1]
    kernels, biases = np.split(weights.head_kernel, ends, axis=1), np.split(weights.head_bias, ends)
    for head, kernel, bias in zip(tagger.heads.values(), kernels, biases, strict=True):
        head.kernel.assign(kernel)
        head.bias.assign(bias)
    joined = tagger.joined_head()
    return lambda table, rows, lengths: tagger.tag_from_table(table, rows, lengths, joined)


def without_states(outputs: dict[str, Any]) -> dict[str, Any]:
    """Returns the outputs that are compared: the best label of each head, and its probability."""
    return {name: values for name, values in outputs.items() if name != "outputs"}


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
    """Returns the best label of each head and its probability, shape [B, T] each, from probabilities [B, T, K]."""
    return {
        **{f"{head}_id": tf.argmax(probabilities[head], -1, output_type=tf.int32) for head in HEADS},
        **{f"{head}_probability": tf.reduce_max(probabilities[head], -1) for head in HEADS},
    }
