"""Counts lines, options and constants of the service and its tests, beside their bounds: `python -m loadtests.size`.

Exits with 1 if a bound is exceeded.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from service.settings import Settings

ROOT = Path(__file__).parents[1]
# The names of constants that are times, by their units.
TIME = re.compile(r"\w+_(SECONDS|MS|MILLISECONDS|MINUTES|TICKS)")
LINES, TEST_LINES, FOLDER_LINES, PARTS, OPTIONS, TIMES = 14_500, 23_000, 3_000, 18, 28, 25
NOT_COUNTED = ("__init__.py", "__main__.py")  # of the loose modules


def python_files(folder: str) -> list[Path]:
    """Returns the Python files below a folder of the repository."""
    return sorted((ROOT / folder).rglob("*.py"))


def lines(files: list[Path]) -> int:
    """Returns how many lines files have, blank ones and docstrings included."""
    return sum(len(file.read_text().splitlines()) for file in files)


def times(file: Path) -> Iterator[str]:
    """Yields the constants of a module that are numbers of a unit of time."""
    for statement in ast.parse(file.read_text()).body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(target, ast.Name) and TIME.fullmatch(target.id):
            yield f"{file.relative_to(ROOT)}: {target.id}"


def main() -> int:
    """Prints each figure beside its bound; with `-v`, also the lines of each part and the constants."""
    files = python_files("service")
    parts: dict[str, int] = {}
    for file in files:
        name = file.relative_to(ROOT / "service").parts[0]
        if name not in NOT_COUNTED:
            parts[name] = parts.get(name, 0) + lines([file])
    found = [name for file in files for name in times(file)]
    if "-v" in sys.argv:
        print(*(f"{count:6} service/{name}" for name, count in parts.items()), *sorted(found), sep="\n")
    figures = [
        ("lines of service/", lines(files), LINES),
        ("lines of tests/", lines(python_files("tests")), TEST_LINES),
        ("lines of the largest folder of service/", max(parts.values()), FOLDER_LINES),
        ("folders and loose modules of service/", len(parts), PARTS),
        ("options", len(Settings.model_fields), OPTIONS),
        ("constants that are times", len(found), TIMES),
    ]
    for name, value, most in figures:
        print(f"{'ok' if value <= most else 'OVER':4}  {name}: {value}, at most {most}")
    return int(any(value > most for _, value, most in figures))


if __name__ == "__main__":
    sys.exit(main())
