"""The command line: what a user sees of mistakes and interruptions."""

import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest

from service.errors import ConfigurationError, install
from tests.conftest import ROOT
from training import __main__ as command
from training import commands
from training.course import load_recipe, recipe_names
from training.run import loop


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "tagger-en"], "run `tagwerk-train fetch ewt`"),
        (["export", "tagger-en"], "run `tagwerk-train fetch ewt`"),
        (["evaluate", "tagger-en"], "no version of 'tagger-en' in model_store"),
        (["fetch", "nothing"], "no corpus is called 'nothing'"),
    ],
)
def test_mistakes_are_one_line(run, capsys, arguments, message):
    assert run(*arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("tagwerk-train: ")
    assert message in error
    assert error.count("\n") == 1


def test_an_interruption_says_how_to_go_on(run, capsys, monkeypatch):
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "set_threads", interrupted)
    assert run("train", "tagger-en") == 130
    assert "the same command resumes the run" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "missing"), [(["fetch"], "httpx"), (["train", "tagger-en"], "tensorflow")])
def test_a_package_that_is_missing_is_told_in_one_line(arguments, missing):
    script = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv[1:] = {arguments}\n"
        "from training.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"tagwerk-train: {missing} is not installed: pip install '.[")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "extra"),
    [("keras.src", "train"), ("tensorflow.python", "cpu,train"), ("torch", "teach"), ("training.nothing", None)],
)
def test_a_missing_package_is_told_with_its_extra(run, capsys, monkeypatch, module, extra):
    def fetch(_: Any) -> None:
        raise ModuleNotFoundError(name=module)

    monkeypatch.setattr(commands, "fetch", fetch)
    if extra is None:  # a bug
        with pytest.raises(ModuleNotFoundError):
            run("fetch")
        return
    assert run("fetch") == 1
    package = module.partition(".")[0]
    assert capsys.readouterr().err == f"tagwerk-train: {package} is not installed: {install(extra)}\n"


def test_the_extras_that_are_named_exist_and_no_index_is_needed():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    sources = "".join(file.read_text() for top in ("service", "training") for file in (ROOT / top).rglob("*.py"))
    found = re.findall(r"""\binstall\(["'](\w+)["']\)|\bimport_extra\("[\w.]+", "(\w+)\"""", sources)
    named = {extra for pair in found for extra in pair if extra}
    assert named >= {"cpu", "files", "otel", "sign"}
    assert named | {name for names in command.MODULES for name in names.split(",")} <= extras.keys()
    assert "tagwerk[" not in sources, "pip finds no package of that name"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_bears_its_name(name):
    assert load_recipe(name).name == name


def test_a_recipe_is_not_just_any_module():
    with pytest.raises(ConfigurationError):
        load_recipe("../config")
