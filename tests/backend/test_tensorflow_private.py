"""The private interfaces of TensorFlow that the service uses: what a new version changes fails here, by its name."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.python.eager import context
from tensorflow.python.framework import ops

from service.backend.tensorflow_private import (
    TracedFunction,
    call_module,
    compiler_ir,
    names_from,
    read_variable,
    register_function,
    reproducible_names,
)


def traced() -> str:
    """Returns the name that TensorFlow gives to a function that is traced now."""
    function = tf.function(lambda x: x + 1.0, autograph=False).get_concrete_function(tf.TensorSpec([], tf.float32))
    return str(function.function_def.signature.name)


def test_names_are_numbered_by_what_is_called_uid():
    assert isinstance(ops.uid(), int)
    with reproducible_names("a graph", "loaded twice"):
        first = traced()
    with reproducible_names("a graph", "of another"):
        assert traced() == first
    with reproducible_names("a graph", "loaded twice"):
        assert traced() != first


def test_names_are_the_same_in_a_thread_that_has_traced_nothing_and_beside_others():
    def named() -> list[str]:
        with names_from("a text"):
            return [traced() for _ in range(3)]

    stop = threading.Event()

    def number() -> None:
        while not stop.is_set():
            ops.uid()

    with ThreadPoolExecutor(4) as pool:
        beside = pool.submit(number)
        found = [pool.submit(named) for _ in range(6)]
        names = {tuple(future.result()) for future in found}
        stop.set()
        beside.result()
    assert names == {tuple(named())}


def test_a_registered_function_is_called_by_its_name():
    function = FunctionDef()
    function.CopyFrom(tf.function(lambda x: x * 2.0, autograph=False).get_concrete_function(1.0).function_def)
    function.signature.name = "registered_by_a_test"
    assert not context.context().has_function("registered_by_a_test")
    register_function(function)
    (found,) = tf.raw_ops.PartitionedCall(args=[], Tout=[tf.float32], f="registered_by_a_test")
    assert found.numpy() == 2.0


def test_a_traced_function_is_called_with_its_inputs_in_their_order_and_what_it_has_captured():
    factor = tf.Variable(3.0)
    number = tf.TensorSpec([], tf.float32)
    function = tf.function(lambda a, b: {"y": a - b, "x": a * factor}, autograph=False)
    traced = function.get_concrete_function(number, number)
    call = TracedFunction(traced)
    del function, traced  # nothing else refers to it
    gc.collect()
    first = call(tf.constant(5.0), tf.constant(1.0))
    assert {name: value.numpy() for name, value in first.items()} == {"x": 15, "y": 4}
    factor.assign(4.0)
    assert call(tf.constant(5.0), tf.constant(1.0))["x"].numpy() == 20


def test_a_function_is_converted_to_a_module_that_is_called_with_its_inputs_and_then_its_variables():
    factor = tf.Variable([3.0])
    traced = tf.function(lambda x: {"y": x * factor}, jit_compile=True, autograph=False)
    function = TracedFunction(traced.get_concrete_function(tf.TensorSpec([None], tf.float32)))
    module = compiler_ir(function, [tf.TensorSpec([1], tf.float32)], "stablehlo")
    assert "stablehlo.multiply" in module

    def call(x):
        return call_module(module, [x, *map(read_variable, function.captured)], function.types)

    (found,) = tf.function(call, jit_compile=True, autograph=False)(tf.constant([5.0]))
    assert (found.numpy().tolist(), found.dtype) == ([15.0], tf.float32)
    assert function.definition() == function.definition()
