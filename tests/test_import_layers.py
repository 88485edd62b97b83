"""The arrows between the packages: read from the imports, wherever in a file they stand."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(p for package in ("service", "training") for p in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yields the full name of everything that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    for name in imports(path):
        if place.startswith("service/"):
            assert not inside(name, "training"), f"{place} imports {name}: the service knows no training"
            if not place.startswith("service/backend/"):
                assert not inside(name, "tensorflow", "keras"), f"{place} imports {name}: only service/backend may"
        elif inside(name, "service"):
            allowed = ("service.text", "service.artifact", "service.errors")
            exported = {f"service.{part.rsplit('.', 1)[-1]}" for part in allowed}
            assert inside(name, *allowed, *exported), f"{place} imports {name}: training takes only {allowed}"


@pytest.mark.parametrize("path", [p for p in SOURCES if "service/engine" in p.as_posix()], ids=lambda p: p.name)
def test_the_engine_knows_nothing_of_http(path: Path) -> None:
    assert not [name for name in imports(path) if inside(name, "fastapi", "starlette", "uvicorn", "service.api")]
