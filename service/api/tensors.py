"""Tensors as the Open Inference Protocol writes them: in JSON, or as bytes behind it (the binary data extension).

https://github.com/kserve/open-inference-protocol, and the extension of Triton's, which its clients use by default: the
header `Inference-Header-Content-Length` says where the JSON ends, `binary_data_size` how many bytes are a tensor's.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from service.api import problem
from service.api.encoding import to_json
from service.engine.padding import Array
from service.errors import InvalidInput

HEADER = "Inference-Header-Content-Length"
DTYPES: dict[str, np.dtype[Any]] = {
    "BYTES": np.dtype(object),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP32": np.dtype("<f4"),
}
MOST_AXES = 3
_Strict = ConfigDict(extra="forbid", strict=True)


class RequestInput(BaseModel):
    """A tensor that a model is to read."""

    model_config = _Strict
    name: str = Field(description="Name of the input.", examples=["text"])
    shape: list[int] = Field(
        min_length=1, max_length=MOST_AXES, description="Its shape, the batch first.", examples=[[1]]
    )
    datatype: str = Field(description="BYTES, INT32, INT64 or FP32.", examples=["BYTES"])
    parameters: dict[str, Any] = Field(
        {}, description="binary_data_size, in bytes, where it follows the JSON.", examples=[{}]
    )
    data: list[Any] | None = Field(None, description="Its elements, flat or nested.", examples=[["She didn't see it."]])


class RequestOutput(BaseModel):
    """An output that is wanted."""

    model_config = _Strict
    name: str = Field(description="Name of the output.", examples=["sentences"])
    parameters: dict[str, Any] = Field({}, description="binary_data: as bytes behind the JSON.", examples=[{}])


class InferenceRequest(BaseModel):
    """The Open Inference Protocol's request."""

    model_config = _Strict
    id: str | None = Field(None, description="Comes back with the answer.", examples=["42"])
    parameters: dict[str, Any] = Field(
        {},
        description="binary_data_output: all outputs as bytes; timeout in microseconds; for texts that are generated,"
        " the fields of /generate.",
        examples=[{}],
    )
    inputs: list[RequestInput] = Field(
        min_length=1,
        description="The tensors to read; those that the model's metadata lists.",
        examples=[[{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["She didn't see it."]}]],
    )
    outputs: list[RequestOutput] = Field([], description="The outputs that are wanted; by default all.", examples=[[]])


class ResponseOutput(BaseModel):
    """A tensor that a model gives."""

    name: str = Field(description="Name of the output.", examples=["label"])
    shape: list[int] = Field(description="Its shape, the batch first.", examples=[[1]])
    datatype: str = Field(description="BYTES, INT32, INT64 or FP32.", examples=["BYTES"])
    parameters: dict[str, Any] = Field({}, description="binary_data_size, where it follows the JSON.", examples=[{}])
    data: list[Any] | None = Field(None, description="Its elements, flat.", examples=[["positive"]])


class InferenceResponse(BaseModel):
    """The Open Inference Protocol's answer."""

    model_name: str = Field(description="Name of the model.", examples=["sentiment-en"])
    model_version: str = Field(description="Its version.", examples=["1"])
    id: str | None = Field(None, description="That of the request.", examples=["42"])
    outputs: list[ResponseOutput] = Field(
        description="The tensors.",
        examples=[[{"name": "label", "shape": [1], "datatype": "BYTES", "data": ["positive"]}]],
    )


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named array. Strings are an array of objects: str when it comes, str when it goes."""

    name: str
    datatype: str
    array: Array


def read(body: bytes, header_length: str | None) -> tuple[InferenceRequest, dict[str, Tensor]]:
    """Reads a request and its tensors by name. Raises InvalidInput and Refused."""
    end = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdecimal() and int(header_length[:12]) <= len(body)):
            raise InvalidInput(
                f"/headers/{HEADER}", f"got {header_length[:40]!r}", f"0 to {len(body)}, the body's length"
            )
        end = int(header_length)
    try:
        content = from_json(body[:end])
    except ValueError as error:
        raise problem.Refused(problem.not_json(str(error))) from None
    try:
        request = InferenceRequest.model_validate(content)
    except ValidationError as error:
        raise problem.Refused(problem.not_valid(error.errors(), content)) from None
    tensors = {}
    for number, given in enumerate(request.inputs):
        size = given.parameters.get("binary_data_size")
        place = f"/inputs/{number}"
        if size is None:
            tensor = _from_json(given, place)
        elif type(size) is int and 0 <= size <= len(body) - end:
            tensor = _from_bytes(given, body[end : end + size], place)
            end += size
        else:
            raise InvalidInput(f"{place}/parameters/binary_data_size", f"got {size!r}"[:60], f"0 to {len(body) - end}")
        if given.name in tensors:
            raise InvalidInput(f"{place}/name", f"{given.name[:60]!r} is there twice", "each input once")
        tensors[given.name] = tensor
    if end != len(body):
        raise InvalidInput("", f"{len(body) - end} bytes follow the tensors", "the bytes that binary_data_size counts")
    return request, tensors


def _from_json(given: RequestInput, place: str) -> Tensor:
    dtype = _dtype(given, place)
    elements = _flat(given.data or [])
    kinds: tuple[type, ...] = (
        (str,) if given.datatype == "BYTES" else (int, float) if given.datatype == "FP32" else (int,)
    )
    if wrong := [element for element in elements if type(element) not in kinds]:
        raise InvalidInput(f"{place}/data", f"an element is {wrong[0]!r}"[:60], f"elements of {given.datatype}")
    try:
        array = np.empty(len(elements), dtype)
        array[:] = elements
    except OverflowError:
        raise InvalidInput(f"{place}/data", "a number is too large", f"elements of {given.datatype}") from None
    return Tensor(given.name, given.datatype, _shaped(array, given, place))


def _from_bytes(given: RequestInput, data: bytes, place: str) -> Tensor:
    dtype = _dtype(given, place)
    if given.data is not None:
        raise InvalidInput(f"{place}/data", "given beside binary_data_size", "one of the two")
    if given.datatype == "BYTES":
        try:
            strings = _strings(data)
        except (UnicodeDecodeError, struct.error) as error:
            problem = f"cannot be read: {error}"
            raise InvalidInput(place, problem, "for each string its length in 4 bytes, then itself in UTF-8") from None
        array = np.empty(len(strings), object)
        array[:] = strings
    elif len(data) % dtype.itemsize:
        raise InvalidInput(place, f"{len(data)} bytes", f"a multiple of {dtype.itemsize}")
    else:
        array = np.frombuffer(data, dtype)
    return Tensor(given.name, given.datatype, _shaped(array, given, place))


def _dtype(given: RequestInput, place: str) -> np.dtype[Any]:
    if given.datatype not in DTYPES:
        raise InvalidInput(f"{place}/datatype", f"got {given.datatype[:40]!r}", ", ".join(DTYPES))
    return DTYPES[given.datatype]


def _shaped(array: Array, given: RequestInput, place: str) -> Array:
    if min(given.shape) < 0 or int(np.prod([float(n) for n in given.shape])) != len(array):
        raise InvalidInput(f"{place}/shape", f"got {given.shape} for {len(array)} elements", "the shape of the data")
    return array.reshape(given.shape)


def _flat(data: list[Any]) -> list[Any]:
    for _ in range(MOST_AXES - 1):
        if data and all(type(part) is list for part in data):
            data = [element for part in data for element in part]
    return data


def _strings(data: bytes) -> list[str]:
    """Reads strings, each behind its length in four bytes, the lowest first."""
    strings, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        at += 4 + length
        if at > len(data):
            raise struct.error("the last string is cut off")
        strings.append(data[at - length : at].decode())
    return strings


def write(head: dict[str, Any], tensors: Sequence[Tensor], binary: frozenset[str]) -> tuple[bytes, int | None]:
    """Returns a response, and the length of its JSON where the tensors named in `binary` follow it as bytes."""
    outputs, blocks = [], []
    for tensor in tensors:
        output: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.array.shape)}
        if tensor.name in binary:
            blocks.append(_bytes(tensor))
            output["parameters"] = {"binary_data_size": len(blocks[-1])}
        else:
            output["data"] = tensor.array.ravel().tolist()
        outputs.append(output)
    header = to_json({**head, "outputs": outputs})
    return b"".join([header, *blocks]), len(header) if blocks else None


def _bytes(tensor: Tensor) -> bytes:
    if tensor.datatype != "BYTES":
        return tensor.array.astype(DTYPES[tensor.datatype]).tobytes()
    strings = [string.encode() for string in tensor.array.ravel()]
    return b"".join(struct.pack("<I", len(string)) + string for string in strings)
