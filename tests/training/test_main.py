"""The command line: what a user sees of mistakes and interruptions."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from service.errors import ConfigurationError
from training.recipes import load_recipe, recipe_names
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
def test_mistakes_are_one_line(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(*arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("tagwerk-train: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_recipe_that_is_not_there_is_told_at_once(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("train", "nothing")
    assert "'nothing' (choose from" in capsys.readouterr().err


def test_an_interruption_says_how_to_go_on(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "set_threads", interrupted)
    assert run("train", "tagger-en") == 130
    assert "the same command resumes the run" in capsys.readouterr().err


def test_help_is_quick_because_it_loads_neither_keras_nor_tensorflow() -> None:
    script = (
        "import sys; from training.__main__ import parser; parser().format_help();"
        "assert not {'keras', 'tensorflow'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_bears_its_name(name: str) -> None:
    assert load_recipe(name).name == name


def test_a_recipe_is_not_just_any_module() -> None:
    with pytest.raises(ConfigurationError):
        load_recipe("../config")
