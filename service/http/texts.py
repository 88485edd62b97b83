"""Types of request fields that hold lists of texts, validated per list: Pydantic is slow per item.

Each type has a name in the OpenAPI document, which generators of clients use for their types.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError, PydanticKnownError
from typing_extensions import TypeAliasType

from service.errors import shortened
from service.http.validation import MOST_ERRORS, TOO_MANY, Faults

_BLANK = PydanticCustomError("blank", "Input should be a string that is not blank")
EXAMPLE = ["Dogs", "bark"]  # of a sentence
MOST_SHOWN = 3  # tokens of a request that an error repeats
LONGEST_SHOWN = 20  # characters of each


def at_most(count: int) -> BeforeValidator:
    """Refuses a list or an object of more than `count` items before validating any of them."""

    def check(value: object) -> object:
        if isinstance(value, list | dict) and len(value) > count:
            facts = {"field_type": type(value).__name__, "max_length": count, "actual_length": len(value)}
            raise PydanticKnownError("too_long", facts)
        return value

    return BeforeValidator(check)


def as_list(value: object) -> object:
    """Wraps a single string in a list."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise PydanticCustomError("text_type", "Input should be a string or a list of strings")
    return value


def check_count(items: Sequence[object], info: ValidationInfo) -> None:
    """Raises TOO_MANY for more items than the settings allow; they are the validation context."""
    if info.context is not None and len(items) > (most := info.context.max_items):
        raise PydanticCustomError(TOO_MANY, "{count} items", {"count": len(items), "most": most})
    if not items:
        raise PydanticKnownError("too_short", {"field_type": "List", "min_length": 1, "actual_length": 0})


def check_strings(items: list[Any], faults: Faults, within: tuple[int, ...] = (), blank: bool = True) -> None:
    """Adds items that are not strings, and, unless `blank` is true, blank strings."""
    if set(map(type, items)) == {str} and (blank or all(map(str.strip, items))):
        return
    wrong = [place for place, item in enumerate(items) if type(item) is not str or not (blank or item.strip())]
    for place in wrong[:MOST_ERRORS]:
        faults.add((*within, place), items[place], _BLANK if type(items[place]) is str else "string_type")
    faults.add_unlisted(len(wrong[MOST_ERRORS:]))


def _texts(value: object, info: ValidationInfo) -> list[str]:
    items: list[Any] = as_list(value)  # type: ignore[assignment]
    check_count(items, info)
    faults = Faults()
    check_strings(items, faults)
    faults.raise_any()
    return items


def _sentences(value: object, info: ValidationInfo) -> list[list[str]]:
    if not isinstance(value, list) or (value and all(type(item) is str for item in value)):
        raise _no_sentences(value)
    check_count(value, info)
    faults = Faults()
    for place, tokens in enumerate(value):
        if not isinstance(tokens, list):
            faults.add((place,), tokens, _no_tokens(tokens))
        elif not tokens:
            faults.add((place,), tokens, "too_short", field_type="List", min_length=1, actual_length=0)
        else:
            check_strings(tokens, faults, (place,), blank=False)
    faults.raise_any()
    return value


def _no_sentences(value: object) -> PydanticCustomError:
    """Returns the error of a value that is no list of sentences, such as one sentence without a list around it."""
    tokens = [shortened(token, LONGEST_SHOWN) for token in value[:MOST_SHOWN]] if isinstance(value, list) else EXAMPLE
    message = "Input should be a list of sentences, each a list of tokens, such as {example}"
    return PydanticCustomError("sentences_type", message, {"example": json.dumps([tokens])})


def _no_tokens(value: object) -> PydanticCustomError:
    """Returns the error of a value that is no sentence, such as a token without a list around it."""
    tokens = [shortened(value, LONGEST_SHOWN)] if isinstance(value, str) else EXAMPLE
    message = "Input should be a list of tokens, such as {example}"
    return PydanticCustomError("tokens_type", message, {"example": json.dumps(tokens)})


def _is_not_blank(text: str) -> str:
    if not text.strip():
        raise _BLANK
    return text


UnicodeText = TypeAliasType(
    "UnicodeText",
    Annotated[
        str,
        AfterValidator(_is_not_blank),
        Field(json_schema_extra={"pattern": r"\S"}, description="A text that is not blank."),
    ],
)
TokenString = TypeAliasType("TokenString", Annotated[str, Field(pattern=r"\S", description="A token.")])
TokenList = TypeAliasType(
    "TokenList", Annotated[list[TokenString], Field(min_length=1, description="The tokens of a sentence.")]
)
TokenLists = TypeAliasType(
    "TokenLists",
    Annotated[
        list[list[str]],
        PlainValidator(_sentences, json_schema_input_type=Annotated[list[TokenList], Field(min_length=1)]),
        Field(description="Sentences, each a list of tokens."),
    ],
)
Texts = TypeAliasType(
    "Texts",
    Annotated[
        list[str],
        PlainValidator(_texts, json_schema_input_type=str | Annotated[list[str], Field(min_length=1)]),
        Field(description="A text, or a list of texts."),
    ],
)
StopString = TypeAliasType(
    "StopString",
    Annotated[
        str,
        Field(min_length=1, max_length=100, description="A string before which a text ends."),
    ],
)
Stop = TypeAliasType(
    "Stop",
    Annotated[
        list[StopString],
        at_most(16),
        BeforeValidator(as_list, json_schema_input_type=StopString | Annotated[list[StopString], Field(max_length=16)]),
        Field(description="A string before which a text ends, or a list of such."),
    ],
)
