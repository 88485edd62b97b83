"""Describes the schema violations of a request, at a cost that does not grow with the request."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from service.errors import InvalidFields, InvalidInput, TooLarge, shortened

MOST_ERRORS = 20  # described in an answer; the others are counted
LONGEST_NAME = 100  # characters of a field's name in a pointer
LONGEST_SIMILAR = 40  # characters of an unknown field's name that is compared with those of known ones
TOO_MANY = "too_many"  # type of the error of a list with more items than the settings allow
_NOT_LISTED = "not_listed"
# type of Pydantic's error -> what is allowed, where Pydantic's own message is less clear
ALLOWED = {
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "a string that matches {pattern}",
    "model_type": "a valid dictionary or object",
}
_PREFIX = "Input should be "  # of Pydantic's messages, and of this project's


class Faults:
    """Collects the errors of a large value: details of the first, and the number of all."""

    def __init__(self) -> None:
        self._listed: list[InitErrorDetails] = []
        self._not_listed = 0

    def add(
        self, location: tuple[str | int, ...], value: object, kind: str | PydanticCustomError, **facts: Any
    ) -> None:
        """Adds an error: one of Pydantic's kinds with its facts, or one of this project's."""
        if len(self._listed) < MOST_ERRORS:
            self._listed.append(InitErrorDetails(type=kind, loc=location, input=value, ctx=facts))
        else:
            self._not_listed += 1

    def add_unlisted(self, count: int) -> None:
        """Counts errors that are not listed."""
        self._not_listed += count

    def raise_any(self) -> None:
        """Raises the errors, for Pydantic to add their location."""
        if not self._listed:
            return
        if self._not_listed:
            rest = PydanticCustomError(_NOT_LISTED, "{count} more", {"count": self._not_listed})
            self._listed.append(InitErrorDetails(type=rest, loc=(), input=None))
        raise ValidationError.from_exception_data("", self._listed)


def not_valid(error: ValidationError, value: object, schema: type[BaseModel], place: str = "") -> InvalidInput:
    """Returns the error of a value that violates its schema; `place` is the value's pointer in the body."""
    count = 0
    listed: list[dict[str, str]] = []
    for fault in error.errors(include_url=False):
        if fault["type"] == TOO_MANY:
            return TooLarge(place + _pointer(fault["loc"], value), fault["msg"], f"at most {fault['ctx']['most']}")
        if fault["type"] == _NOT_LISTED:
            count += fault["ctx"]["count"]
            continue
        count += 1
        if len(listed) < MOST_ERRORS:
            listed.append(_place(fault, place, value, schema))
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
            return f"a string of {len(value)} characters" if value else "an empty string"
        case list():
            return f"a list of {len(value)} items"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


def _place(fault: Mapping[str, Any], above: str, value: object, schema: type[BaseModel]) -> dict[str, str]:
    pointer = above + _pointer(fault["loc"], value)
    if fault["type"] in ("extra_forbidden", "missing"):
        *location, name = fault["loc"]
        fields = _fields(schema, location)
        if fault["type"] == "missing":
            return {"pointer": pointer, "problem": "missing", "allowed": _in_words(fields[name])}
        similar = get_close_matches(name, fields, n=1) if len(name) <= LONGEST_SIMILAR else []
        unknown = f'unknown field (did you mean "{similar[0]}"?)' if similar else "unknown field"
        return {"pointer": pointer, "problem": unknown, "allowed": f"the fields {', '.join(fields)}"}
    limits = fault.get("ctx", {})
    allowed = ALLOWED.get(fault["type"], "{}").format(fault["msg"].removeprefix(_PREFIX), **limits)
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
