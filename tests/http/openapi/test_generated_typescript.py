"""The types that openapi-typescript generates with its defaults take the requests that the documents show.

They are those of the client for TypeScript, which a test of it generates again. npm fetches openapi-fetch and the
compiler; without these the test is skipped.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.clients.typescript_types import SOURCE
from tests.conftest import ROOT
from tests.http.openapi.calls import document
from tests.node import install, run_node

PACKAGES = ("openapi-fetch@0.17.0", "typescript@5.9.3")
STRICT = ("--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022")
PAGES = "".join((ROOT / name).read_text() for name in ("README.md", "docs/api.md", "docs/operations.md"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns a folder with the packages, and the types in `schema.ts`."""
    install(tmp_path, "install", *PACKAGES)
    shutil.copy(SOURCE / "src" / "schema.ts", tmp_path)
    return tmp_path


def errors(folder: Path, **programs: str) -> str:
    """Compiles programs; returns the errors."""
    for name, code in programs.items():
        (folder / f"{name}.ts").write_text(code)
    return run_node(
        folder, "node", "node_modules/typescript/bin/tsc", *STRICT, *(f"{name}.ts" for name in programs)
    ).stdout


def requests() -> list[tuple[str, str]]:
    """Returns the paths and bodies of the requests that the documents show for curl and in JavaScript."""
    commands = re.findall(r"^curl -.*?(?<!\\)\n", PAGES, re.MULTILINE | re.DOTALL)
    words = [shlex.split(command, comments=True) for command in commands if " -d " in command]
    shown = [(url, one[one.index("-d") + 1]) for one in words for url in one if ":8000/" in url]
    shown += re.findall(r"fetch\(\"(.*?)\".*?JSON\.stringify\((.*?)\),\n", PAGES, re.DOTALL)
    return [(url.partition(":8000")[2], body) for url, body in shown]


def template(path: str) -> str:
    """Returns the path of the document that a path is one of."""
    (found,) = (one for one in document()["paths"] if re.fullmatch(re.sub(r"\{.*?\}", "[^/]+", one), path))
    return str(found)


def test_the_requests_and_the_program_of_the_documents_compile(folder):
    shown = requests()
    assert {"/tag", "/classify", "/generate", "/admin/models/tagger-en"} <= {path for path, _ in shown}
    assert len(shown) > 12
    body = '["post"]["requestBody"]["content"]["application/json"]'
    lines = [f'export const r{i}: paths["{template(path)}"]{body} = {given};' for i, (path, given) in enumerate(shown)]
    head = 'import type { paths } from "./schema";\n'
    (program,) = re.findall(r"^```ts\n(.*?)^```", PAGES, re.MULTILINE | re.DOTALL)
    wrong = head + lines[0].replace("{", "{colour: 1, ", 1)
    found = errors(folder, requests=head + "\n".join(lines), program=program, wrong=wrong)
    assert "does not exist in type" in found
    assert set(re.findall(r"^(\S+)\(", found, re.MULTILINE)) == {"wrong.ts"}, found
