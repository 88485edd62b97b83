"""The distributions, built and installed as others would install them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, STORE, Server

MOST_BYTES = 40e6  # of the client and all that it depends on

CALLER = """
from tagwerk.client import Client, Refused, Tagged

with Client("{url}") as client:
    tagged: list[Tagged] = client.tag(["She sings."], n_best=2, lemmas=False)
    print([token.upos for token in tagged[0].sentences[0].tokens])
    print([result.label for result in client.classify("A warm, funny film.", contributions="positive")])
    print(len(client.generate("A", max_tokens=5, stop=["x"], seed=1)))
"""
MISTAKES = """
from tagwerk.client import Client

with Client() as client:
    client.tag("Dogs bark.", nbest=2)
    client.tag("Dogs bark.", offsets="bytes")
    client.generate("A", max_tokens="5")
"""


def run(*command: str | Path, folder: Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, **(environment or {})},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(folder: Path, project: Path) -> Path:
    """Builds the sdist of a project, and a wheel from it; returns the wheel."""
    run(sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", folder, project, folder=folder.parent)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the interpreter of an environment that has the client alone."""
    folder = tmp_path_factory.mktemp("caller")
    run(sys.executable, "-m", "uv", "venv", "--quiet", "env", folder=folder)
    python = folder / "env" / "bin" / "python"
    wheel = built(folder / "dist", ROOT / "tagwerk")
    run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, wheel, folder=folder)
    return python


def test_the_client_is_small_and_brings_no_name_but_its_own(caller: Path, server: Server, tmp_path: Path) -> None:
    (packages,) = (caller.parents[1] / "lib").glob("python*/site-packages")
    assert sum(path.stat().st_size for path in packages.rglob("*") if path.is_file()) < MOST_BYTES
    assert not {"service", "training", "numpy", "fastapi"} & {path.name for path in packages.iterdir()}
    (tmp_path / "caller.py").write_text(CALLER.format(url=server.url))
    lines = run(caller, "caller.py", folder=tmp_path).splitlines()
    assert lines == ["['PRON', 'VERB', 'PUNCT']", "['positive']", "1"]


def test_a_type_checker_knows_the_fields_of_requests(caller: Path, tmp_path: Path) -> None:
    strict = ("-m", "mypy", "--strict", "--python-executable", caller, "--cache-dir", tmp_path / "cache")
    (tmp_path / "right.py").write_text(CALLER)
    run(sys.executable, *strict, "right.py", folder=tmp_path)
    (tmp_path / "wrong.py").write_text(MISTAKES)
    with pytest.raises(AssertionError) as found:
        run(sys.executable, *strict, "wrong.py", folder=tmp_path)
    for line, words in ((5, 'Unexpected keyword argument "nbest"'), (6, '"offsets"'), (7, '"max_tokens"')):
        assert any(f"wrong.py:{line}:" in one and words in one for one in str(found.value).splitlines())


def test_the_wheel_has_all_that_the_service_and_training_read(tmp_path: Path) -> None:
    wheel = built(tmp_path / "dist", ROOT)
    target = ("--no-deps", "--target", tmp_path / "wheel")
    run(sys.executable, "-m", "uv", "pip", "install", "--quiet", *target, wheel, folder=tmp_path)
    files = {path.relative_to(ROOT) for top in ("service", "training") for path in (ROOT / top).rglob("*.*")}
    wanted = {file for file in files if "__pycache__" not in file.parts and file.suffix != ".pyc"}
    assert {file for file in wanted if not (tmp_path / "wheel" / file).exists()} == set()
    environment = {"PYTHONPATH": str(tmp_path / "wheel"), "TAGWERK_MODEL_STORE": str(STORE)}
    where = "import service, training; print(service.__file__, training.__file__)"
    assert run(sys.executable, "-c", where, folder=tmp_path, environment=environment).count(str(tmp_path)) == 2
    for module, argument in (("service", "--version"), ("service", "models"), ("training", "--help")):
        assert run(sys.executable, "-m", module, argument, folder=tmp_path, environment=environment)
