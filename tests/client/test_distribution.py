"""The distributions, built and installed as others would install them."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import CACHE, ROOT, Server, start_server, store_of

MOST_BYTES = 40e6  # of the client and all that it depends on

CALLER = """
from tagwerk.client import Client, Refused, Tagged

with Client("{url}") as client:
    tagged: list[Tagged] = client.tag(["She sings."], n_best=2, lemmas=False)
    print([token.upos for token in tagged[0].sentences[0].tokens])
    print([result.label for result in client.classify("A warm, funny film.", contributions="positive")])
    print(len(client.generate("A", max_tokens=5, stop=["x"], seed=1)))
"""
GENERATES = """
from tagwerk.client import Client

with Client("{url}") as client:
    print(len(client.generate("A", max_tokens=5, seed=1)[0].text))
"""
FOREIGN = ("service", "training")  # packages of somebody, beside which the wheel is installed
NAMES_OF_THE_CHECKOUT = re.compile(
    r"""^ *(?:from|import) (?:service|training)\b.*|["'](?:service|training)\.[\w.]+[:"']""", re.MULTILINE
)
MISTAKES = """
from tagwerk.client import Client

with Client() as client:
    client.tag("Dogs bark.", nbest=2)
    client.tag("Dogs bark.", offsets="bytes")
    client.generate("A", max_tokens="5")
"""


def run(*command: str | Path, folder: Path, **variables: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, **variables},
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


def environment(folder: Path) -> Path:
    """Makes an environment with the dependencies of this one, and nothing else; returns its folder of packages."""
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, "env", folder=folder)
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # the .pth files there are not read
    return packages


def install(environment: Path, *arguments: str | Path) -> None:
    command = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", environment)
    run(*command, *arguments, folder=environment)


@pytest.fixture(scope="module")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("client") / "dist", ROOT / "tagwerk")


@pytest.fixture(scope="module")
def caller(client_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the interpreter of an environment that has the client alone."""
    folder = tmp_path_factory.mktemp("caller")
    run(sys.executable, "-m", "uv", "venv", "--quiet", "env", folder=folder)
    python = folder / "env" / "bin" / "python"
    install(folder / "env", client_wheel)
    return python


def test_the_client_is_small_and_brings_no_name_but_its_own(caller: Path, server: Server, tmp_path: Path) -> None:
    (packages,) = (caller.parents[1] / "lib").glob("python*/site-packages")
    assert sum(path.stat().st_size for path in packages.rglob("*") if path.is_file()) < MOST_BYTES
    assert not {"service", "training", "numpy", "fastapi"} & {path.name for path in packages.iterdir()}
    (licence,) = packages.glob("tagwerk_client-*.dist-info/licenses/LICENSE")
    assert licence.read_text() == (ROOT / "LICENSE").read_text()
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


@pytest.fixture(scope="module")
def installed(client_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the programs of an environment with both wheels, this one's dependencies, and somebody's own packages."""
    folder = tmp_path_factory.mktemp("installed")
    packages = environment(folder)
    for name in FOREIGN:
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text(f"owner = 'the {name} of somebody'")
    install(folder / "env", "--no-deps", built(folder / "dist", ROOT), client_wheel)
    return folder / "env" / "bin"


def test_the_wheel_has_all_that_the_service_and_training_read(installed: Path) -> None:
    (packages,) = (installed.parent / "lib").glob("python*/site-packages")
    files = {path.relative_to(ROOT) for top in FOREIGN for path in (ROOT / top).rglob("*.*")}
    wanted = {file for file in files if "__pycache__" not in file.parts and file.suffix != ".pyc"}
    assert {file for file in wanted if not (packages / "tagwerk" / file).exists()} == set()
    sources = {path: path.read_text() for top in FOREIGN for path in (packages / "tagwerk" / top).rglob("*.py")}
    assert {path: found[0] for path, source in sources.items() if (found := NAMES_OF_THE_CHECKOUT.search(source))} == {}


def test_an_installation_leaves_other_packages_named_service_and_training_alone(
    installed: Path, tmp_path: Path
) -> None:
    store = {
        "TAGWERK_MODEL_STORE": str(store_of(tmp_path / "store", "lm-shakespeare")),
        "TAGWERK_XLA_CACHE": str(CACHE),
    }
    assert run(installed / "tagwerk", "--version", folder=tmp_path).startswith("tagwerk ")
    assert "lm-shakespeare" in run(installed / "tagwerk", "models", folder=tmp_path, **store)
    assert "COMMAND" in run(installed / "tagwerk-train", "--help", folder=tmp_path)
    with start_server(tmp_path / "log", program=[str(installed / "tagwerk")], PYTHONPATH="", **store) as server:
        server.wait_until_ready()
        (tmp_path / "caller.py").write_text(GENERATES.format(url=server.url))
        assert run(installed / "python", "caller.py", folder=tmp_path) == "5\n"
        assert server.stop() == 0, server.log.read_text()
    documents = "".join((ROOT / name).read_text() for name in ("README.md", "docs/operations.md"))
    names = set(re.findall(r"(tagwerk\.service[\w.]+)(?: import |:)(\w+)", documents))
    assert names == {("tagwerk.service.pipelines", "open_pipelines"), ("tagwerk.service.process.ray_app", "build")}
    found = "from importlib.util import find_spec; assert find_spec('tagwerk.service.process.ray_app')"
    run(installed / "python", "-c", f"from tagwerk.service.pipelines import open_pipelines; {found}", folder=tmp_path)
    for name in FOREIGN:
        owner = run(installed / "python", "-c", f"import {name}; print({name}.owner)", folder=tmp_path)
        assert owner == f"the {name} of somebody\n"


def test_an_editable_installation_has_the_names_of_the_checkout(tmp_path: Path) -> None:
    environment(tmp_path)
    for projects in ([ROOT], [ROOT / "tagwerk"]):  # without the client, and with it
        install(tmp_path / "env", "--no-deps", *(f"--editable={project}" for project in projects))
        for program in ("tagwerk", "tagwerk-train"):
            assert run(tmp_path / "env" / "bin" / program, "--help", folder=tmp_path)
    where = "import service.pipelines, tagwerk.client, training; print(service.__file__, training.__file__)"
    assert run(tmp_path / "env" / "bin" / "python", "-c", where, folder=tmp_path).count(str(ROOT)) == 2
