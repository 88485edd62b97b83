"""The step as an ONNX graph, in ONNX Runtime and in OpenVINO."""

from collections.abc import Callable

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, checker, helper, numpy_helper

from loadtests.runtimes.weights import HEADS, Weights
from service.types import Array, Tensors

Run = Callable[[Tensors], dict[str, Array]]


def make(weights: Weights, threads: int) -> dict[str, Run]:
    """Returns the step in ONNX Runtime, in OpenVINO, and there with bfloat16, which not every processor has."""
    model = graph(weights)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    core = openvino.Core()

    def in_openvino(precision: str) -> Run:
        hints = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
        request = core.compile_model(core.read_model(model), "CPU", hints).create_infer_request()

        def run(batch: Tensors) -> dict[str, Array]:
            outputs = request.infer(dict(batch))
            return {name: outputs[name] for name in names}

        return run

    return {
        "ONNX Runtime": lambda batch: dict(zip(names, session.run(names, dict(batch)), strict=True)),
        "OpenVINO": in_openvino("f32"),
        "OpenVINO, bfloat16": in_openvino("bf16"),
    }


def graph(weights: Weights) -> bytes:
    """Returns the step in ONNX: the LSTM operator, one product for all heads, softmax and the best of each head."""

    def in_onnx_order(array: Array) -> Array:  # i, f, g, o -> i, o, f, c
        i, f, g, o = np.split(array, 4, axis=-1)
        return np.concatenate([i, o, f, g], axis=-1)

    bias = in_onnx_order(weights.bias)
    constants = {
        "W": in_onnx_order(weights.kernel).transpose(0, 2, 1),  # [D, 4 H, I]
        "R": in_onnx_order(weights.recurrent_kernel).transpose(0, 2, 1),  # [D, 4 H, H]
        "B": np.concatenate([bias, np.zeros_like(bias)], axis=1),
        "head_kernel": weights.head_kernel,
        "head_bias": weights.head_bias,
        "joined": np.array([0, 0, -1], np.int64),
        "labels": np.array(weights.labels, np.int64),
    }
    nodes = [
        helper.make_node("Transpose", ["inputs"], ["steps"], perm=[1, 0, 2]),
        helper.make_node(
            "LSTM", ["steps", "W", "R", "B", "lengths"], ["y"], hidden_size=weights.units, direction="bidirectional"
        ),
        helper.make_node("Transpose", ["y"], ["rows"], perm=[2, 0, 1, 3]),
        helper.make_node("Reshape", ["rows", "joined"], ["outputs"]),
        helper.make_node("MatMul", ["outputs", "head_kernel"], ["product"]),
        helper.make_node("Add", ["product", "head_bias"], ["logits"]),
        helper.make_node("Split", ["logits", "labels"], [f"{head}_logits" for head in HEADS], axis=2),
    ]
    outputs = []
    for head in HEADS:
        nodes += [
            helper.make_node("Softmax", [f"{head}_logits"], [head], axis=-1),
            helper.make_node("ReduceMax", [head], [f"{head}_probability"], axes=[-1], keepdims=0),
            helper.make_node("ArgMax", [head], [f"{head}_long"], axis=-1, keepdims=0),
            helper.make_node("Cast", [f"{head}_long"], [f"{head}_id"], to=TensorProto.INT32),
        ]
        outputs += [
            helper.make_tensor_value_info(f"{head}_id", TensorProto.INT32, ["B", "T"]),
            helper.make_tensor_value_info(f"{head}_probability", TensorProto.FLOAT, ["B", "T"]),
        ]
    inputs = [
        helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["B", "T", weights.kernel.shape[1]]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["B"]),
    ]
    initializers = [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()]
    made = helper.make_graph(nodes, "tagger", inputs, outputs, initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())
