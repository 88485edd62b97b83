"""`tagwerk health`: the status of the service, and an exit status for scripts; tests/e2e has one that starts."""

import pytest

from service.__main__ import main
from tests.conftest import free_port


def test_a_service_that_is_ready_is_said_to_be(server, monkeypatch, capsys):
    monkeypatch.setenv("TAGWERK_PORT", server.url.rpartition(":")[2])
    assert (main(["health"]), capsys.readouterr().out) == (0, "ready\n")


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_nobody_there_is_not_ready(monkeypatch, capsys, host):
    monkeypatch.setenv("TAGWERK_HOST", host)
    monkeypatch.setenv("TAGWERK_PORT", port := str(free_port()))
    assert main(["health"]) == 1
    assert capsys.readouterr().out.startswith(f"no answer from 127.0.0.1:{port}: ")
