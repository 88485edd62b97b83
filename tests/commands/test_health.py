"""`tagwerk health`: the status of the service, and an exit status for scripts."""

import pytest

from service.__main__ import main
from tests.conftest import free_port, start_server
from tests.e2e.test_server import wait_until


def test_it_says_whether_the_service_is_ready(tagger_store, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TAGWERK_PORT", port := str(free_port()))

    def health() -> tuple[int, str]:
        return main(["health"]), capsys.readouterr().out.strip()

    with start_server(tmp_path / "log", TAGWERK_MODEL_STORE=str(tagger_store), TAGWERK_PORT=port) as server:
        wait_until(lambda: health() == (1, "starting"))
        wait_until(lambda: health() == (0, "ready"), seconds=240)
        assert server.stop() == 0
    status, said = health()
    assert status == 1
    assert said.startswith(f"no answer from 127.0.0.1:{port}: ")


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_nobody_there_is_not_ready(monkeypatch, capsys, host):
    monkeypatch.setenv("TAGWERK_HOST", host)
    monkeypatch.setenv("TAGWERK_PORT", str(free_port()))
    assert main(["health"]) == 1
    assert "no answer from 127.0.0.1:" in capsys.readouterr().out
