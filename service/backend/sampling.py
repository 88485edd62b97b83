"""Samples the next token from a language model's logits, inside the compiled step.

Temperature; top-k (Fan et al. 2018); top-p, or nucleus, sampling (Holtzman et al. 2020). All parameters are tensors
with one value per row, so that rows with different options share a step.
"""

from typing import Any

import tensorflow as tf

from service.text.vocabulary import RESERVED

TOP = 5  # most probable tokens whose probabilities are returned


def sample(
    logits: Any,  # [S, V] float32
    temperature: Any,  # [S] float32; 0 is greedy
    top_k: Any,  # [S] int32; 0 keeps all
    top_p: Any,  # [S] float32; 1 keeps all
    seed: Any,  # [S] int64
    position: Any,  # [S] int64
) -> dict[str, Any]:
    """Samples one id per row, never PAD nor UNK.

    Candidates are sorted by probability and filtered by top-k and top-p. The sample inverts their cumulative
    distribution at a uniform number that depends on (seed, position) alone.

    Returns:
        ids: [S] int32.
        logprobs: of the ids, before temperature, top-k and top-p  # [S] float32.
        top_ids, top_logprobs: the most probable ids, N = TOP or all there are  # [S, N].
    """
    reserved = tf.range(tf.shape(logits)[1]) < len(RESERVED)
    logits = tf.where(reserved[None], -1e9, logits)
    divisor = tf.where(temperature > 0, temperature, 1.0)[:, None]
    order = tf.argsort(logits, axis=-1, direction="DESCENDING", stable=True)  # [S, V]
    probabilities = tf.nn.softmax(tf.gather(logits, order, batch_dims=1) / divisor)
    rank = tf.range(tf.shape(logits)[1])[None]
    before = tf.cumsum(probabilities, axis=-1, exclusive=True)
    kept = ((rank < top_k[:, None]) | (top_k[:, None] == 0)) & (before < top_p[:, None])
    kept = kept | (rank == 0)
    cumulative = tf.cumsum(tf.where(kept, probabilities, 0.0), axis=-1)
    threshold = uniform(seed, position)[:, None] * cumulative[:, -1:]
    chosen = tf.reduce_sum(tf.cast(cumulative <= threshold, tf.int32), axis=-1)
    last = tf.reduce_sum(tf.cast(kept, tf.int32), axis=-1) - 1  # rounding must not exceed the last candidate
    chosen = tf.where(temperature > 0, tf.minimum(chosen, last), 0)
    ids = tf.gather(order, chosen, batch_dims=1)
    logprobs = tf.nn.log_softmax(logits)  # [S, V]
    top_ids = order[:, :TOP]
    return {
        "ids": ids,
        "logprobs": tf.gather(logprobs, ids, batch_dims=1),
        "top_ids": top_ids,
        "top_logprobs": tf.gather(logprobs, top_ids, batch_dims=1),
    }


def uniform(seed: Any, position: Any) -> Any:
    """Returns a uniform number in [0, 1) per row  # [S] float32, a function of the row's (seed, position)."""
    pairs = tf.stack([seed, position], axis=-1)
    return tf.map_fn(lambda pair: tf.random.stateless_uniform((), pair), pairs, fn_output_signature=tf.float32)
