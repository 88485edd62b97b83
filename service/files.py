"""Writes files atomically, and describes what is invalid in files that were read."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from service.errors import shortened

# names of Pydantic's facts about a violated limit -> words before the limit
ALLOWED = {"expected": "", "pattern": "what matches ", "gt": "above ", "ge": "at least ", "le": "at most "}


def write_whole(path: Path, content: str, mode: int = 0o644) -> None:
    """Writes a file under another name and renames it. Raises OSError, and removes what it wrote."""
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        Path(scratch).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(scratch).unlink()
        raise


def first_fault(error: ValidationError) -> str:
    """Describes the first violation of a file's schema in one line, with its place in the file."""
    fault, *others = error.errors(include_url=False)
    place = "/".join(map(str, fault["loc"])) or "the content"
    match fault["type"]:
        case "json_invalid":
            described = f"it is not valid JSON: {fault['ctx']['error']}"
        case "missing":
            described = f"{place} is missing"
        case "extra_forbidden":
            described = f"{place} is unknown"
        case "value_error":
            described = str(fault["ctx"]["error"])
        case _:
            limits = fault.get("ctx", {})
            allowed = "".join(f"; allowed: {ALLOWED[name]}{limits[name]}" for name in ALLOWED.keys() & limits)
            described = f"{place} cannot be {shortened(repr(fault['input']), 100)}{allowed}"
    return described + (f", and {len(others)} more" if others else "")
