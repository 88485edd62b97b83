"""Schemas of requests. Each field has a description and an example."""

import json
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from service.http.validation import MOST_ERRORS, Texts, TokenLists, as_list, at_most, raise_faults
from service.pipelines import formats
from service.pipelines.generation import GenerationOptions, StopString
from service.text.tokens import Unit


def _describe_defaults(schema: dict[str, Any]) -> None:
    """Moves the defaults of a request's fields into their descriptions, and allows null for them.

    Generators for TypeScript make a field that has a default a required one; those for Python send null for a field
    that has none and is not set.
    """
    for field in schema["properties"].values():
        if (default := field.pop("default", None)) is None:
            continue
        about = {name: field.pop(name) for name in ("title", "description", "examples") if name in field}
        about["description"] += f" By default {json.dumps(default)}." if default not in ([], {}) else ""
        kinds = [dict(field), {"type": "null"}]
        field.clear()
        field.update(about, anyOf=kinds)


class Strict(BaseModel):
    """An object without unknown fields and without type conversion. A field that is null has its default."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, json_schema_extra=staticmethod(_describe_defaults)
    )

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, value: Any) -> Any:
        """Leaves out optional fields that are null. Reports the first of many unknown fields; Pydantic would each."""
        fields = cls.__pydantic_fields__
        if isinstance(value, dict) and len(value) > len(fields) + MOST_ERRORS:
            unknown = [name for name in value if name not in fields]
            listed = (((name,), value[name], "extra_forbidden") for name in unknown[:MOST_ERRORS])
            raise_faults(listed, len(unknown[MOST_ERRORS:]))
        if isinstance(value, dict) and None in value.values():
            optional = {name for name, field in fields.items() if not field.is_required()}
            return {name: one for name, one in value.items() if one is not None or name not in optional}
        return value


class Request(Strict):
    """A request to a model."""

    model: str | None = Field(
        None,
        description="Name of the model, one of those of /models, or its name and version: tagger-en/2. By default the"
        " first that does the task, in the version that serves.",
    )


OffsetUnit = TypeAliasType(
    "OffsetUnit",
    Annotated[
        Unit,
        Field(
            description="What offsets count: code points (Python), utf16 code units (JavaScript, Java), utf8 bytes"
            " (Go)."
        ),
    ],
)
OFFSETS: Any = Field("code_points", description="The unit of offsets.", examples=["code_points"])
TagFormat = TypeAliasType("TagFormat", Annotated[formats.TagFormat, Field(description="Format of tags.")])


class TagRequest(Request):
    """Texts to split and tag, or sentences that are split already: one of the two."""

    text: Texts | None = Field(
        None, description="A text, or a list of texts, to split and tag.", examples=["She didn't see it."]
    )
    tokens: TokenLists | None = Field(
        None,
        description="Sentences, each a list of tokens, tagged as they are. Offsets are in the tokens joined by spaces.",
    )
    language: str | None = Field(
        None,
        pattern=r"^(auto|[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)$",
        max_length=35,
        description="Language of the texts, a tag of BCP 47 such as fr: a tagger of this language answers. Instead of"
        " `model`. auto identifies the language of each text; texts in languages without a tagger are then tagged by"
        " `model`, or without one refused.",
    )
    offsets: OffsetUnit = OFFSETS
    n_best: int = Field(
        1,
        ge=1,
        le=5,
        description="Number of most probable tags of each kind, per token; 1 returns the best only. JSON only.",
        examples=[1],
    )
    lemmas: bool = Field(True, description="Whether to return lemmas, if the model gives them.", examples=[True])
    format: TagFormat | None = Field(
        None,
        description="Format of the answer. By default the one preferred by the Accept header: application/json or"
        " text/x-conllu. conllu-chain is CoNLL-U in which each word's HEAD is the word before it, for readers that"
        " require a tree.",
        examples=["json"],
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.tokens is None):
            raise PydanticCustomError(
                "one_of", "Input should be an object with exactly one of the fields text and tokens"
            )
        if self.model is not None and self.language not in (None, "auto"):
            raise PydanticCustomError(
                "one_of", "Input should be an object with at most one of the fields model and language"
            )
        return self


def _flag_or_label(value: object) -> object:
    if not isinstance(value, bool | str):
        raise PydanticCustomError("flag_or_label", "Input should be true, false or a label")
    return value


ExplainedLabel = TypeAliasType(
    "ExplainedLabel",
    Annotated[
        bool | str,
        PlainValidator(_flag_or_label, json_schema_input_type=bool | str),
        Field(description="A label of the model, or true for the most probable one."),
    ],
)


class ClassifyRequest(Request):
    """Texts to classify."""

    text: Texts = Field(
        description="A text, or a list of texts, to classify.", examples=["A warm, funny, engaging film."]
    )
    contributions: ExplainedLabel = Field(
        False,
        description='Return what each token adds to the log-odds of a label: the one named, such as "positive", or with'
        " true the most probable.",
        examples=[False],
    )
    sentences: bool = Field(
        False,
        description="Also classify each sentence on its own; with the labels negative and positive, also return"
        " `magnitude` and `mixed`.",
        examples=[False],
    )
    offsets: OffsetUnit = OFFSETS


Stop = TypeAliasType(
    "Stop",
    Annotated[
        list[StopString],
        at_most(16),
        BeforeValidator(as_list, json_schema_input_type=StopString | Annotated[list[StopString], Field(max_length=16)]),
        Field(description="A string before which a text ends, or a list of such."),
    ],
)


class GenerateRequest(Request, GenerationOptions):
    """Prompts to continue, and how."""

    stop: Stop = Field([], description="Strings before which the text ends.", examples=[["\n\n"]])
    stream: bool = Field(
        False, description="Send the text as server-sent events while it is generated.", examples=[False]
    )
    prompt: Texts = Field(description="The text to continue, or a list of them.", examples=["ROMEO:"])
