"""Encodes and decodes tensors of the Open Inference Protocol: in JSON, or as binary data after it.

https://github.com/kserve/open-inference-protocol, and Triton's binary data extension, the default of its clients: the
header `Inference-Header-Content-Length` is the length of the JSON, `binary_data_size` the number of a tensor's bytes.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from service.api.request_schemas import Strict
from service.errors import InvalidInput, TooLarge, quantity, shortened
from service.http.body import parse_json, validate
from service.http.validation import Texts, at_most
from service.pipelines.formats import join_list, to_json, write_object
from service.settings import Settings
from service.text.interruptible import Interruptible
from service.types import Array

HEADER = "Inference-Header-Content-Length"
DTYPES = {"BYTES": "O", "INT32": "<i4", "INT64": "<i8", "FP32": "<f4"}  # NumPy's, as they are sent
CHARACTERS_AT_ONCE = 65_536  # of a string, encoded
MOST_NAMES = 64  # outputs that a request names, its parameters
LENGTH_DIGITS = 12
Parameters = TypeAliasType(
    "Parameters",
    Annotated[dict[str, Any], at_most(MOST_NAMES), Field(description="Parameters of the protocol, by name.")],
)


class InputParameters(Strict):
    """How an input tensor is sent."""

    binary_data_size: int | None = Field(None, description="Its bytes, where it follows the JSON.")


class OutputParameters(Strict):
    """How an output tensor is returned."""

    binary_data: bool | None = Field(
        None, description="As bytes behind the JSON; by default as `binary_data_output` says."
    )


class RequestInput(Strict):
    """An input tensor."""

    name: Literal["text"] = Field(description="Name of the input.", examples=["text"])
    shape: Annotated[list[int], at_most(1)] = Field(
        min_length=1, max_length=1, description="The number of texts.", examples=[[1]]
    )
    datatype: Literal["BYTES"] = Field(description="The type of its elements.", examples=["BYTES"])
    parameters: InputParameters = Field(InputParameters(), description="How it is sent.", examples=[{}])
    data: Texts | None = Field(None, description="Its elements.", examples=[["She didn't see it."]])


class RequestOutput(Strict):
    """A requested output."""

    name: str = Field(description="Name of the output.", examples=["sentences"])
    parameters: OutputParameters = Field(OutputParameters(), description="How it is returned.", examples=[{}])


class InferenceRequest(Strict):
    """The Open Inference Protocol's request."""

    id: str | None = Field(None, max_length=1000, description="Returned with the answer.", examples=["42"])
    parameters: Parameters = Field(
        {},
        description="binary_data_output: all outputs as bytes; timeout in microseconds; for texts that are generated,"
        " the fields of /generate.",
        examples=[{}],
    )
    inputs: Annotated[list[RequestInput], at_most(1)] = Field(
        min_length=1, max_length=1, description="The tensor to read."
    )
    outputs: Annotated[list[RequestOutput], at_most(MOST_NAMES)] = Field(
        [], description="The requested outputs; by default all.", examples=[[]]
    )


class ResponseOutput(BaseModel):
    """An output tensor."""

    name: str = Field(description="Name of the output.", examples=["label"])
    shape: list[int] = Field(description="Its shape, the batch first.", examples=[[1]])
    datatype: str = Field(description="The type of its elements: BYTES, INT32, INT64 or FP32.", examples=["BYTES"])
    parameters: dict[str, Any] = Field({}, description="binary_data_size, where it follows the JSON.", examples=[{}])
    data: list[Any] | None = Field(None, description="Its elements, flat.", examples=[["positive"]])


class InferenceResponse(BaseModel):
    """The Open Inference Protocol's answer."""

    model_name: str = Field(description="Name of the model.", examples=["sentiment-en"])
    model_version: str = Field(description="Its version.", examples=["1"])
    id: str | None = Field(None, description="That of the request.", examples=["42"])
    outputs: list[ResponseOutput] = Field(description="The tensors.")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named array. Strings are an object array of str."""

    name: str
    datatype: str
    array: Array


def tensor_of(name: str, datatype: str, values: Sequence[Any]) -> Tensor:
    """Makes a tensor of numbers or strings  # [B], or [B, K] of lists of K."""
    return Tensor(name, datatype, np.array(values, DTYPES[datatype]))


def read(body: bytes, header_length: str | None, settings: Settings) -> tuple[InferenceRequest, list[str]]:
    """Decodes a request, and the texts of its input. Raises InvalidInput, TooLarge, InvalidJson, InvalidFields."""
    end = len(body)
    if header_length is not None:
        plain = header_length.isascii() and header_length.isdecimal() and len(header_length) <= LENGTH_DIGITS
        if not plain or int(header_length) > end:
            raise InvalidInput(f"/headers/{HEADER}", f"got {header_length[:40]!r}", f"0 to {end}, the body's length")
        end = int(header_length)
    request = validate(parse_json(body[:end], settings), InferenceRequest, settings)
    (given,) = request.inputs
    (count,), size, rest = given.shape, given.parameters.binary_data_size, body[end:]
    texts = given.data or []
    if size is not None:
        if given.data is not None:
            raise InvalidInput("/inputs/0/data", "given beside binary_data_size", "one of the two")
        if not 0 <= size <= len(rest):
            place, got = "/inputs/0/parameters/binary_data_size", f"got {shortened(str(size))}"
            raise InvalidInput(place, got, f"0 to {len(rest)}")
        if count > settings.max_items:
            raise TooLarge("/inputs/0/shape", f"{count} items", f"at most {settings.max_items}")
        texts, rest = _strings(rest[:size], count), rest[size:]
    if len(texts) != count or not texts:
        got = f"got {shortened(str(given.shape))} for {quantity(len(texts), 'element')}"
        raise InvalidInput("/inputs/0/shape", got, "the number of texts, at least 1")
    if rest:
        got = f"{quantity(len(rest), 'byte')} after the tensors"
        raise InvalidInput("", got, "the bytes that binary_data_size counts")
    return request, texts


def _strings(data: bytes, count: int) -> list[str]:
    """Decodes strings, each after its length in four bytes, little-endian; at most one more than `count`."""
    at, strings = 0, list[str]()
    try:
        while at < len(data) and len(strings) <= count:
            (length,) = struct.unpack_from("<I", data, at)
            at += 4 + length
            if at > len(data):
                raise struct.error("the last string is cut off")
            strings.append(data[at - length : at].decode())
    except (UnicodeDecodeError, struct.error) as error:
        allowed = "for each string its length in 4 bytes, then itself in UTF-8"
        raise InvalidInput("/inputs/0", f"cannot be read: {error}", allowed) from None
    return strings


def write(
    head: dict[str, Any], tensors: Sequence[Tensor], binary: frozenset[str]
) -> Interruptible[tuple[list[bytes], int | None]]:
    """Encodes a response in chunks; returns them, and the length of its JSON if tensors named in `binary` follow it."""
    outputs: list[list[bytes]] = []
    blocks: list[bytes] = []
    for tensor in tensors:
        output: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.array.shape)}
        if tensor.name in binary:
            blocks.append(_bytes(tensor))
            output["parameters"] = {"binary_data_size": len(blocks[-1])}
            outputs.append([to_json(output)])
            yield
        else:
            outputs.append(write_object(output, data=(yield from _write_data(tensor))))
    header = write_object(head, outputs=join_list(outputs))
    return [*header, *blocks], sum(map(len, header)) if blocks else None


def _write_data(tensor: Tensor) -> Interruptible[list[bytes]]:
    """Encodes the elements of a tensor as JSON, in chunks."""
    elements = tensor.array.ravel()
    if tensor.datatype != "BYTES":
        return [to_json(elements.tolist())]  # there are few for each text
    strings: list[list[bytes]] = []
    for string in elements:
        strings.append([b'"'])
        for start in range(0, len(string), CHARACTERS_AT_ONCE):
            strings[-1].append(to_json(string[start : start + CHARACTERS_AT_ONCE])[1:-1])
            yield
        strings[-1].append(b'"')
    return join_list(strings)


def _bytes(tensor: Tensor) -> bytes:
    if tensor.datatype != "BYTES":
        return tensor.array.tobytes()
    strings = [string.encode() for string in tensor.array.ravel()]
    return b"".join(struct.pack("<I", len(string)) + string for string in strings)
