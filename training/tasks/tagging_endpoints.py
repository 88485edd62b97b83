"""The endpoints of a tagger: of the whole network, and those that the service runs."""

from service.artifact.manifest import POSITIONS, Endpoint, TensorSpec
from service.text.lemmatizer import LEMMA, NEXT_RULES
from training.cells import Tensor
from training.models.tagger import Tagger
from training.tasks.endpoints import EndpointFunction, Tensors, floats, ints, projection, table_specs


def tagging_endpoint(characters: int, labels: dict[str, int]) -> Endpoint:
    """Returns the tensors of the whole network.

    Args:
        characters: the most characters of a word that are read, C.
        labels: the number of labels of each head, K.
    """
    inputs = {"word_ids": ints("B", "T"), "char_ids": ints("B", "T", characters), "lengths": ints("B")}
    return Endpoint(inputs=inputs, outputs={head: floats("B", "T", size) for head, size in labels.items()})


def served_endpoints(model: Tagger, endpoint: Endpoint, characters: int) -> dict[str, EndpointFunction]:
    """Returns the endpoints that the service runs: the projection of words, the step over them, all logits."""
    joined = model.joined_head()
    best = {f"{head}_id": ints(POSITIONS) for head in endpoint.outputs}
    if LEMMA in endpoint.outputs:
        best |= {name: ints(POSITIONS) for name in NEXT_RULES}
    confidence = {f"{head}_probability": floats(POSITIONS) for head in endpoint.outputs}
    rounded = 2 if model.rounded else None
    inputs = {
        **table_specs("table", ("W", model.projected_size), rounded),
        "rows": ints("B", "T"),
        "lengths": endpoint.inputs["lengths"],
    }

    kind = "int8" if model.rounded else "float32"
    outputs = {"outputs": TensorSpec(dtype=kind, axes=("B", "T", model.outputs_size))}

    def run(**tensors: Tensor) -> Tensors:
        return model.tag_from_table(**tensors, head=joined)

    def score(**tensors: Tensor) -> Tensors:
        return {"logits": model.logits_from_outputs(**tensors, head=joined)}

    step = EndpointFunction(Endpoint(inputs=inputs, outputs=best | confidence | outputs), run, tuple(joined.weights))
    words = {"word_ids": ints("W"), "char_ids": ints("W", characters)}
    logits = Endpoint(inputs=outputs | inputs, outputs={"logits": floats(POSITIONS, joined.units)})
    return {
        "project": projection(model.project, words, ("W", model.projected_size), rounded),
        "tag_from_table": step,
        "logits": EndpointFunction(logits, score),
    }
