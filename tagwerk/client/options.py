"""The fields of requests, as keyword arguments of the client's methods."""

from collections.abc import Sequence
from typing import Literal, Required, TypedDict

Offsets = Literal["code_points", "utf16", "utf8"]


class TagOptions(TypedDict, total=False):
    """The fields of a request to /tag but its texts."""

    model: str
    language: str
    offsets: Offsets
    n_best: Literal[1, 2, 3, 4, 5]
    lemmas: bool


class ClassifyOptions(TypedDict, total=False):
    """The fields of a request to /classify but its texts. `contributions` may be a label."""

    model: str
    contributions: bool | str
    sentences: bool
    offsets: Offsets


class GenerateOptions(TypedDict, total=False):
    """The fields of a request to /generate but its prompts."""

    model: str
    max_tokens: int
    temperature: float
    top_k: int
    top_p: float
    seed: int
    n: int
    stop: str | list[str]
    logprobs: int


class TokenCorrection(TypedDict, total=False):
    """A token by its place in the answer to a request, and those of its tags that are right instead of the model's."""

    sentence: int
    token: Required[int]
    text: str
    upos: str
    xpos: str
    feats: str
    lemma: str


class FeedbackOptions(TypedDict, total=False):
    """The fields of a request to /feedback but its text: tags, for tokens that have others, or a label."""

    model: str
    tags: Sequence[TokenCorrection]
    label: str
    request_id: str
