"""Options on the command line."""

import os
from importlib.metadata import version

import pytest

from service import __main__ as command
from service.__main__ import main, parse
from service.commands.options import default_of
from service.settings import Settings
from service.telemetry import logs


@pytest.fixture
def started(monkeypatch):
    """Returns the settings of each command that is run, which runs nothing else."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(logs, "set_up", lambda settings: None)
    settings = []

    def run(parsed, made):
        settings.append(made)
        return 0

    monkeypatch.setattr(command, "run", run)
    return settings


@pytest.mark.parametrize("name", ["serve", "api", "engine"])
def test_options_are_accepted_as_arguments_and_passed_to_child_processes(started, monkeypatch, name):
    os.environ["TAGWERK_PORT"] = "1"
    os.environ["TAGWERK_SLOTS"] = "7"
    arguments = ["--port", "9000", "--batch-sizes", "1,2", "--no-log-requests", "--model-store=x y"]
    assert main([name, *arguments]) == 0
    (settings,) = started
    assert (settings.port, settings.batch_sizes, str(settings.model_store)) == (9000, (1, 2), "x y")
    assert (settings.log_requests, settings.slots) == (False, 7)
    assert os.environ["TAGWERK_PORT"] == "9000"
    assert os.environ["TAGWERK_LOG_REQUESTS"] == "false"
    assert "TAGWERK_HOST" not in os.environ


def test_a_wrong_argument_is_named_like_a_wrong_variable(started, capsys):
    assert main(["serve", "--port", "http"]) == 1
    assert capsys.readouterr().err == "tagwerk: TAGWERK_PORT is 'http'; allowed: a whole number from 0 to 65535\n"


@pytest.mark.parametrize("name", ["serve", "api", "engine"])
def test_the_help_lists_every_option_with_its_variable_and_default(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "1000")  # no line of the help is wrapped
    with pytest.raises(SystemExit, match="0"):
        parse([name, "--help"])
    text = capsys.readouterr().out
    for option, field in Settings.model_fields.items():
        assert f"  --{option.replace('_', '-')}" in text
        assert f"{field.description} (TAGWERK_{option.upper()}; default: {default_of(field) or 'empty'})\n" in text


def test_abbreviations_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        parse(["serve", "--po", "9000"])


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit, match="0"):
        parse(["--version"])
    assert capsys.readouterr().out == f"tagwerk {version('tagwerk')}\n"


def test_unknown_variables_are_warned_of_once_and_not_by_child_processes(started, caplog):
    os.environ["TAGWERK_PROT"] = "9000"
    assert main(["serve"]) == 0
    assert caplog.messages == ["TAGWERK_PROT is not an option; the nearest is TAGWERK_PORT"]
    assert main(["api", "--lifeline", "0"]) == 0
    assert main(["engine", "--channel", "0"]) == 0
    assert len(caplog.messages) == 1
