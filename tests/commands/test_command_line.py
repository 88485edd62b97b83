"""The command line: options of the service, `tagwerk health`, and output that is closed."""

import os
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from service import __main__ as main_module
from service.__main__ import default_of, main, parse
from service.errors import ConfigurationError
from service.settings import Settings
from service.telemetry import logs
from tests.conftest import free_port

FORK_SERVER = ["fork-server", *"00000"]


@pytest.fixture
def started(monkeypatch):
    """Returns the settings of each command that is run, which runs nothing else."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(logs, "set_up", lambda settings, process=None, *, waits: None)
    settings = []

    def run(parsed, made):
        settings.append(made)
        return 0

    monkeypatch.setattr(main_module, "run", run)
    return settings


def test_options_are_accepted_as_arguments_and_passed_to_child_processes(started, monkeypatch):
    os.environ["TAGWERK_PORT"] = "1"
    os.environ["TAGWERK_SLOTS"] = "7"
    arguments = ["--port", "9000", "--batch-sizes", "1,2", "--model-store=x y"]
    assert main(["serve", *arguments]) == 0
    (settings,) = started
    assert (settings.port, settings.batch_sizes, str(settings.model_store)) == (9000, (1, 2), "x y")
    assert settings.slots == 7
    assert os.environ["TAGWERK_PORT"] == "9000"
    assert "TAGWERK_HOST" not in os.environ


def test_a_wrong_argument_is_named_like_a_wrong_variable(started, capsys):
    assert main(["serve", "--port", "http"]) == 1
    problem = "Input should be a valid integer, unable to parse string as an integer"
    assert capsys.readouterr().err == f"tagwerk: TAGWERK_PORT is 'http': {problem}\n"


def test_the_help_lists_every_option_with_its_variable_and_default(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "1000")  # no line of the help is wrapped
    with pytest.raises(SystemExit, match="0"):
        parse(["serve", "--help"])
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
    assert main(FORK_SERVER) == 0
    assert len(caplog.messages) == 1


def test_the_help_does_not_show_the_command_of_child_processes(capsys):
    with pytest.raises(SystemExit, match="0"):
        parse(["--help"])
    shown = re.findall(r"^ {4}([\w-]+)", capsys.readouterr().out, re.MULTILINE)
    assert shown == ["serve", "health", "annotate", "models", "keys", "corrections"]


@pytest.mark.parametrize(("command", "status"), [(["serve"], 1), (FORK_SERVER, ConfigurationError.EXIT_STATUS)])
def test_a_child_process_tells_the_supervisor_that_the_options_are_wrong(started, monkeypatch, command, status):
    def run(parsed, made):
        raise ConfigurationError("no GPU")

    monkeypatch.setattr(main_module, "run", run)
    assert main(command) == status


def test_a_service_that_is_ready_is_said_to_be(server, monkeypatch, capsys):
    monkeypatch.setenv("TAGWERK_PORT", server.url.rpartition(":")[2])
    assert (main(["health"]), capsys.readouterr().out) == (0, "ready\n")


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_nobody_there_is_not_ready(monkeypatch, capsys, host):
    monkeypatch.setenv("TAGWERK_HOST", host)
    monkeypatch.setenv("TAGWERK_PORT", port := str(free_port()))
    assert main(["health"]) == 1
    assert capsys.readouterr().out.startswith(f"no answer from 127.0.0.1:{port}: ")


def test_a_command_whose_output_nothing_reads_any_more_ends_without_a_traceback(tmp_path):
    keys = tmp_path / "keys.json"
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        ended = subprocess.run(
            [sys.executable, "-m", "service", "keys", "add", "mail"],
            env=os.environ | {"TAGWERK_API_KEYS_FILE": str(keys)},
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "mail" in keys.read_text()
