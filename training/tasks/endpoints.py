"""The steps of an endpoint that the service runs one after the other, and the table of input products between them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from service.artifact.manifest import Endpoint, TensorSpec
from training.cells import Tensor
from training.cells.integers import round_rows

Tensors: TypeAlias = dict[str, Tensor]


def floats(*axes: str | int) -> TensorSpec:
    """Returns a tensor of floats with these axes."""
    return TensorSpec(dtype="float32", axes=axes)


def ints(*axes: str | int) -> TensorSpec:
    """Returns a tensor of integers with these axes."""
    return TensorSpec(dtype="int32", axes=axes)


@dataclass(frozen=True)
class EndpointFunction:
    """An endpoint and the function that computes it.

    Attributes:
        compute: inputs by name -> outputs by name.
        variables: used by it, beside the weights of the network.
    """

    endpoint: Endpoint
    compute: Callable[..., Tensors]
    variables: tuple[Any, ...] = ()


def projection(
    project: Callable[..., Tensor],
    words: dict[str, TensorSpec],
    rows: tuple[str | int, int],
    rounded: int | None = None,
) -> EndpointFunction:
    """Returns the endpoint "project", which computes the input products of words.

    The product of a word is the same at every position, so that a service can cache it.

    Args:
        project: `words` -> the products, of shape `rows`: one row per word, or per entry of a whole vocabulary.
        rounded: directions of rows that are rounded, see `training.cells.integers.round_rows`; None leaves floats.
    """

    def compute(**given: Tensor) -> Tensors:
        products = project(**given)
        if rounded is None:
            return {"projected": products}
        integers, scales = round_rows(products, rounded)
        return {"projected": integers, "scales": scales}

    return EndpointFunction(Endpoint(inputs=words, outputs=table_specs("projected", rows, rounded)), compute)


def table_specs(name: str, rows: tuple[str | int, int], rounded: int | None) -> dict[str, TensorSpec]:
    """Returns the tensors of a table of input products of this name; for the other arguments see `projection`."""
    if rounded is None:
        return {name: floats(*rows)}
    scales = floats(rows[0], rounded)
    return {name: TensorSpec(dtype="int8", axes=rows), "scales": scales}
