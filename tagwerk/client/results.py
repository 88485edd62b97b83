"""The answers of the service as typed objects. Fields that this client does not know are ignored."""

from typing import Self

import msgspec


class Piece(str):
    """A piece of a text that is being generated; `number` is that of the text, from 0."""

    number: int

    def __new__(cls, text: str, number: int) -> Self:
        """Returns the text with its number."""
        piece = super().__new__(cls, text)
        piece.number = number
        return piece


class Candidate(msgspec.Struct, frozen=True):
    """A tag that a token may have, and its probability, 0 to 1."""

    tag: str
    probability: float


class NBest(msgspec.Struct, frozen=True):
    """The most probable tags of each kind, best first."""

    upos: tuple[Candidate, ...]
    xpos: tuple[Candidate, ...]
    feats: tuple[Candidate, ...]


class Token(msgspec.Struct, frozen=True):
    """A token, its place in the text, and its tags; `confidence` is the probability of `upos`."""

    text: str
    start: int
    end: int
    upos: str
    xpos: str
    feats: dict[str, str]
    confidence: float
    lemma: str | None = None
    source: str | None = None  # "dictionary", where the model's dictionary has replaced a tag
    n_best: NBest | None = None


class MultiwordToken(msgspec.Struct, frozen=True):
    """A word of the text that is several tokens, those from index `first` to `last` of its sentence."""

    text: str
    start: int
    end: int
    first: int
    last: int


class Sentence(msgspec.Struct, frozen=True):
    """A sentence, its place in the text, and its tokens."""

    text: str
    start: int
    end: int
    tokens: tuple[Token, ...]
    multiword_tokens: tuple[MultiwordToken, ...]


class Tagged(msgspec.Struct, frozen=True):
    """The sentences of a text; none of a blank one. With `language="auto"` also its language, and its model."""

    sentences: tuple[Sentence, ...]
    language: str | None = None
    probability: float | None = None
    model: str | None = None
    version: str | None = None


class Contribution(msgspec.Struct, frozen=True):
    """A token and what it adds to the log-odds of the label that is explained, in nats."""

    text: str
    start: int
    end: int
    contribution: float


class Contributions(msgspec.Struct, frozen=True):
    """What speaks for `label`: `baseline` and the contributions of all tokens sum to `score`, in nats."""

    label: str
    score: float
    baseline: float
    tokens: tuple[Contribution, ...]


class ClassifiedSentence(msgspec.Struct, frozen=True):
    """A sentence with its most probable label, the probability of each, and its score as in `Classified`."""

    text: str
    start: int
    end: int
    label: str
    scores: dict[str, float]
    score: float | None = None


class Ignored(msgspec.Struct, frozen=True):
    """A word that the model has not read, and why: its dictionary has it."""

    text: str
    source: str


class Classified(msgspec.Struct, frozen=True):
    """The most probable label of a text, and the probability of each label.

    `score` is the probability of the label positive less that of negative, -1 to 1, if the model has both. With
    sentences, `magnitude` is the sum of their scores without signs; `mixed` tells whether one of them is strongly
    positive and another strongly negative.
    """

    label: str
    scores: dict[str, float]
    contributions: Contributions | None = None
    sentences: tuple[ClassifiedSentence, ...] | None = None
    score: float | None = None
    magnitude: float | None = None
    mixed: bool | None = None
    ignored: tuple[Ignored, ...] | None = None


class Logprob(msgspec.Struct, frozen=True):
    """A token and its log probability, in nats."""

    token: str
    logprob: float


class GeneratedToken(msgspec.Struct, frozen=True):
    """A generated token, its log probability in nats, and the most probable tokens in its place."""

    token: str
    logprob: float
    top: tuple[Logprob, ...]


class Generated(msgspec.Struct, frozen=True):
    """A continuation of a prompt; `finish_reason` is stop, length or shutdown."""

    text: str
    finish_reason: str
    tokens: int
    seed: int
    logprobs: tuple[GeneratedToken, ...] | None = None


class Feedback(msgspec.Struct, frozen=True):
    """The model whose answer is corrected, and how many tags or labels it gives otherwise."""

    model: str
    version: str
    changed: int


class Model(msgspec.Struct, frozen=True):
    """A model version and its state. `share` is that of the requests that name no version."""

    name: str
    version: str
    state: str
    share: float
    default: bool
    reason: str | None = None
    task: str | None = None
    description: str | None = None


class Limits(msgspec.Struct, frozen=True):
    """The largest request that the service accepts."""

    items: int
    text_characters: int
    body_bytes: int


class Models(msgspec.Struct, frozen=True):
    """All model versions, and the limits on requests."""

    models: tuple[Model, ...]
    limits: Limits
