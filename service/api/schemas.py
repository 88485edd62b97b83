"""What requests and answers look like."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError


class Request(BaseModel):
    """A request: no unknown fields, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    model: str | None = Field(
        None, description="Name of the model; by default the first that does the task.", examples=[None]
    )


def _as_list(value: object) -> object:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise PydanticCustomError("text_type", "Input should be a string or a list of strings")
    return value


def _is_unicode(text: str) -> str:
    """JSON can escape half of a surrogate pair; that is no character, and UTF-8 cannot carry it back."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise PydanticCustomError("lone_surrogate", "Input should be Unicode text, without lone surrogates")
    return text


def _is_not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "Input should be a string that is not blank")
    return text


Text = Annotated[str, AfterValidator(_is_unicode)]


Texts = Annotated[
    list[Text],
    Field(min_length=1),
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Word = Annotated[Text, AfterValidator(_is_not_blank), WithJsonSchema({"type": "string", "pattern": r"\S"})]


class TagRequest(Request):
    """Texts to split and tag, or sentences that are split already: one of the two."""

    text: Texts | None = Field(None, description="A text, or a list of texts.", examples=["The quick brown fox jumps."])
    tokens: list[Annotated[list[Word], Field(min_length=1)]] | None = Field(
        None,
        min_length=1,
        description="Sentences, each a list of tokens, tagged as they are. Offsets are in the tokens joined by spaces.",
        examples=[None],
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.tokens is None):
            raise PydanticCustomError("one_of", "Input should have exactly one of the fields text and tokens")
        return self


class ClassifyRequest(Request):
    """Texts to judge."""

    text: Texts = Field(description="A text, or a list of texts.", examples=["A warm, funny, engaging film."])


class GenerateRequest(Request):
    """Prompts to continue, and how."""

    prompt: Texts = Field(description="The text to continue, or a list of them.", examples=["ROMEO:"])
    max_tokens: int = Field(200, ge=1, description="Most tokens (characters) to generate.", examples=[40])
    temperature: float = Field(1.0, ge=0, le=10, description="0 always takes the most probable token.")
    top_k: int = Field(0, ge=0, le=1_000_000, description="Choose among this many most probable tokens; 0 among all.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Choose among the most probable tokens whose probabilities sum to this."
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=2**53 - 1,
        description="The same seed gives the same text. By default a random one.",
        examples=[7],
    )
    stop: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_is_unicode)]],
        BeforeValidator(_as_list),
        Field(max_length=16),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "minLength": 1, "maxLength": 100},
                    {
                        "type": "array",
                        "items": {"type": "string", "minLength": 1, "maxLength": 100},
                        "maxItems": 16,
                    },
                ]
            }
        ),
    ] = Field([], description="Strings before which the text ends.", examples=[["\n\n"]])


class Token(BaseModel):
    """A token, its place in the text in code points, and its tags."""

    text: str
    start: int = Field(description="First code point.")
    end: int = Field(description="Code point after the last.")
    upos: str = Field(description="Universal part-of-speech tag.")
    xpos: str = Field(description="Part-of-speech tag of the treebank.")
    feats: dict[str, str] = Field(description="Universal features.")
    confidence: float = Field(description="Probability of the UPOS tag.")


class Sentence(BaseModel):
    """A sentence and its place in the text in code points."""

    text: str
    start: int
    end: int
    tokens: list[Token]


class Tagged(BaseModel):
    """The sentences of one input; none for a blank text."""

    sentences: list[Sentence]


class Classified(BaseModel):
    """The judgement of one input."""

    label: str = Field(description="The most probable label.")
    scores: dict[str, float] = Field(description="Probability of each label.")
    truncated: bool = Field(description="Whether a part of the text was left out. Always false.")


class Generated(BaseModel):
    """The continuation of one prompt."""

    text: str
    finish_reason: Literal["stop", "length"]
    tokens: int = Field(description="Tokens (characters) generated.")
    seed: int = Field(description="Gives this text again.")


class _Answer(BaseModel):
    model: str
    version: str


class TagAnswer(_Answer):
    """One result an input, in order."""

    results: list[Tagged]


class ClassifyAnswer(_Answer):
    """One result an input, in order."""

    results: list[Classified]


class GenerateAnswer(_Answer):
    """One result a prompt, in order."""

    results: list[Generated]


class FieldProblem(BaseModel):
    """A place in the request and what is wrong there."""

    pointer: str = Field(description="JSON pointer (RFC 6901) to the place.")
    problem: str
    allowed: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="Stable identifier of the kind of problem.")
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = Field(default=[], description="What is wrong, place by place.")


class ModelSummary(BaseModel):
    """A model version and its state."""

    name: str
    version: str
    state: str
    reason: str | None = Field(description="Why it is refused.")
    task: str | None
    description: str | None
    default: bool = Field(description="Whether it answers requests that name no model.")


class ModelList(BaseModel):
    """All model versions that the service knows."""

    models: list[ModelSummary]


class ModelDetail(ModelSummary):
    """A model version with its manifest."""

    manifest: dict[str, Any] | None


class Readiness(BaseModel):
    """Whether the service takes requests, and the state of each model."""

    status: str
    models: list[ModelSummary]


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["alive"]
