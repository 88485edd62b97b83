"""The sockets: whose they are, and what is said of one that cannot be opened."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from service.errors import ConfigurationError
from service.process.listening import open_engine_socket

CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


def test_an_engine_s_socket_is_its_own_user_s(tmp_path):
    path = tmp_path / "engine"
    with open_engine_socket(str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert subprocess.run([sys.executable, "-c", CONNECT, str(path)]).returncode == 0
    with open_engine_socket(str(path)):  # one that was left behind is replaced
        assert subprocess.run([sys.executable, "-c", CONNECT, str(path)]).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_cannot_connect():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # even where the folder lets others in
        with open_engine_socket(f"{folder}/engine"):
            command = ["/usr/bin/python3", "-c", CONNECT, f"{folder}/engine"]
            if not Path(command[0]).exists():
                pytest.skip("no Python that another user may run")
            tried = subprocess.run(command, user=65534, group=65534, extra_groups=[], capture_output=True, text=True)
    assert "PermissionError" in tried.stderr


@pytest.mark.parametrize("address", ["here:port", "127.0.0.1:99999", "/no/such/folder/engine"])
def test_an_address_that_cannot_be_listened_at_is_said(address):
    with pytest.raises(ConfigurationError, match=f"cannot listen at TAGWERK_ENGINE_ADDRESS={address}"):
        open_engine_socket(address)


def test_tcp_works_too():
    with open_engine_socket("127.0.0.1:0") as listening:
        assert listening.family == socket.AF_INET
