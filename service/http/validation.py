"""Validates lists of texts in requests, and describes the schema violations of a request.

Describing has a cost that does not grow with the request: its tokens, which may be very many, are not validated by
Pydantic, which describes each that is wrong. Each type of a field has a name in the OpenAPI document, which generators
of clients use for their types.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainValidator, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError
from typing_extensions import TypeAliasType

from service.errors import InvalidFields, InvalidInput, TooLarge, quantity, shortened

MOST_ERRORS = 20  # described in an answer; the others are counted
LONGEST_NAME = 100  # characters of a field's name in a pointer
LONGEST_SIMILAR = 40  # characters of an unknown field's name that is compared with those of known ones
TOO_MANY = "too_many"  # type of the error of a list with more items than the settings allow
_NOT_LISTED = "not_listed"
# type of Pydantic's error -> what is allowed, where Pydantic's own message is less clear
ALLOWED = {
    "too_short": "at least {min_length} item{s}",
    "too_long": "at most {max_length} item{s}",
    "string_too_short": "at least {min_length} character{s}",
    "string_too_long": "at most {max_length} character{s}",
    "string_pattern_mismatch": "a string that matches {pattern}",
    "model_type": "a valid dictionary or object",
}
Fault = tuple[tuple[str | int, ...], object, str | PydanticCustomError]  # its place, the value, the type of the error
_NO_ITEMS = PydanticCustomError("too_short", "List should have at least 1 item", {"min_length": 1})
_BLANK = PydanticCustomError("blank", "Input should be a string that is not blank")
EXAMPLE = ["Dogs", "bark"]  # of a sentence
MOST_SHOWN = 3  # tokens of a request that an error repeats
LONGEST_SHOWN = 20  # characters of each
_PREFIX = "Input should be "  # of Pydantic's messages, and of this project's


def raise_faults(faults: Iterator[Fault], more: int = 0) -> None:
    """Raises the errors of a large value, if there are any: details of the first, and the number of the others.

    `more` are counted, and not among the faults.
    """
    listed = [InitErrorDetails(type=kind, loc=place, input=value) for place, value, kind in islice(faults, MOST_ERRORS)]
    if not_listed := more + sum(1 for _ in faults):
        rest = PydanticCustomError(_NOT_LISTED, "{count} more", {"count": not_listed})
        listed.append(InitErrorDetails(type=rest, loc=(), input=None))
    if listed:
        raise ValidationError.from_exception_data("", listed)  # to which Pydantic adds their location


def not_valid(error: ValidationError, value: object, schema: type[BaseModel]) -> InvalidInput:
    """Returns the error of a value that violates its schema."""
    count = 0
    listed: list[dict[str, str]] = []
    for fault in error.errors(include_url=False):
        if fault["type"] == TOO_MANY:
            return TooLarge(_pointer(fault["loc"], value), fault["msg"], f"at most {fault['ctx']['most']}")
        if fault["type"] == _NOT_LISTED:
            count += fault["ctx"]["count"]
            continue
        count += 1
        if len(listed) < MOST_ERRORS:
            listed.append(_place(fault, value, schema))
    detail = "; ".join(f"{p['pointer'] or 'the body'}: {p['problem']}; allowed: {p['allowed']}" for p in listed[:3])
    if count > 3:
        detail += f"; {count - 3} more"
    return InvalidFields(detail, listed, count)


def describe(value: object) -> str:
    """Describes a value without repeating a long one."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return shortened(str(value))
        case str():
            return f"a string of {quantity(len(value), 'character')}" if value else "an empty string"
        case list():
            return f"a list of {quantity(len(value), 'item')}"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


def _place(fault: Mapping[str, Any], value: object, schema: type[BaseModel]) -> dict[str, str]:
    pointer = _pointer(fault["loc"], value)
    if fault["type"] in ("extra_forbidden", "missing"):
        *location, name = fault["loc"]
        fields = _fields(schema, location)
        if fault["type"] == "missing":
            return {"pointer": pointer, "problem": "missing", "allowed": _in_words(fields[name])}
        similar = get_close_matches(name, fields, n=1) if len(name) <= LONGEST_SIMILAR else []
        unknown = f'unknown field (did you mean "{similar[0]}"?)' if similar else "unknown field"
        return {"pointer": pointer, "problem": unknown, "allowed": f"the fields {', '.join(fields)}"}
    limits = fault.get("ctx", {})
    s = "s" * (limits.get("min_length", limits.get("max_length")) != 1)
    allowed = ALLOWED.get(fault["type"], "{}").format(fault["msg"].removeprefix(_PREFIX), s=s, **limits)
    return {"pointer": pointer, "problem": f"got {describe(fault.get('input'))}", "allowed": allowed}


def _fields(schema: type[BaseModel], location: Sequence[str | int]) -> Mapping[str, FieldInfo]:
    """Returns the fields of the object at a location in a body of the given schema."""
    found: type[BaseModel] | None = schema
    for step in location:
        if isinstance(step, str) and found is not None:
            field = found.model_fields.get(step)
            found = None if field is None else _model_of(field.annotation)
    return {} if found is None else found.model_fields


def _in_words(field: FieldInfo) -> str:
    """Returns the first sentence of a field's description, in the form of a part of a sentence."""
    words = (field.description or "").partition(". ")[0].removesuffix(".")
    return words[:1].lower() + words[1:]


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """Returns the model that a field's annotation holds, such as `Model` in `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_of(part)) is not None), None)


def _pointer(location: Sequence[str | int], body: object) -> str:
    """Returns the JSON pointer of a location. It ends where the body does: a single string stands for a list of one."""
    pointer = ""
    for step in location:
        if not isinstance(body, dict | list):
            break
        pointer += "/" + shortened(str(step), LONGEST_NAME).replace("~", "~0").replace("/", "~1")
        body = body.get(step) if isinstance(body, dict) else body[step] if isinstance(step, int) else None
    return pointer


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


def _texts(value: object, info: ValidationInfo) -> object:
    """Returns a list of texts, whose number is checked before Pydantic validates each."""
    items: Any = as_list(value)
    check_count(items, info)
    return items


def _sentences(value: object, info: ValidationInfo) -> list[list[str]]:
    if not isinstance(value, list) or (value and all(type(item) is str for item in value)):
        example = [_shown(value if isinstance(value, list) else EXAMPLE)]
        raise _not_listed("sentences", "sentences, each a list of tokens", example)
    check_count(value, info)
    raise_faults(_faults_of(value))
    return value


def _faults_of(sentences: list[Any]) -> Iterator[Fault]:
    """Yields the errors of what should be lists of tokens."""
    for place, tokens in enumerate(sentences):
        if not isinstance(tokens, list):
            example = _shown([tokens] if isinstance(tokens, str) else EXAMPLE)
            yield (place,), tokens, _not_listed("tokens", "tokens", example)
        elif not tokens:
            yield (place,), tokens, _NO_ITEMS
        elif set(map(type, tokens)) != {str} or not all(map(str.strip, tokens)):
            for i, token in enumerate(tokens):
                if type(token) is not str:
                    yield (place, i), token, "string_type"
                elif not token.strip():
                    yield (place, i), token, _BLANK


def _shown(tokens: Sequence[str]) -> list[str]:
    return [shortened(token, LONGEST_SHOWN) for token in tokens[:MOST_SHOWN]]


def _not_listed(kind: str, wanted: str, example: list[Any]) -> PydanticCustomError:
    """Returns the error of a value that is no list of what is wanted."""
    message = f"Input should be a list of {wanted}, such as {{example}}"
    return PydanticCustomError(f"{kind}_type", message, {"example": json.dumps(example)})


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
        BeforeValidator(_texts, json_schema_input_type=str | Annotated[list[str], Field(min_length=1)]),
        Field(description="A text, or a list of texts."),
    ],
)
