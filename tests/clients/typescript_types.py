"""Generates the types of the client for TypeScript: make typescript-types."""

import json
from pathlib import Path

from tests.conftest import ROOT
from tests.http.openapi.calls import document
from tests.node import install, run_node

SOURCE = ROOT / "clients" / "typescript"


def generated(folder: Path) -> str:
    """Returns the types that the tools in a copy of the client's folder generate from the OpenAPI document."""
    (folder / "openapi.json").write_text(json.dumps(document()))
    done = run_node(folder, "npm", "run", "generate")
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "src" / "schema.ts").read_text()


if __name__ == "__main__":
    install(SOURCE, "ci")
    generated(SOURCE)
