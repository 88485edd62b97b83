"""The listening socket, and what is said of one that cannot be opened."""

import logging
import re
import socket

import pytest

from service.errors import ConfigurationError
from service.process.listening import log_address, open_socket


def test_it_listens_and_its_address_is_logged(caplog):
    with caplog.at_level(logging.INFO, "tagwerk"), open_socket("127.0.0.1", 0) as listening:
        log_address(listening)
        socket.create_connection(listening.getsockname()).close()
        assert caplog.messages == [f"listening at http://127.0.0.1:{listening.getsockname()[1]}, not ready yet"]


def test_an_address_of_version_6_works_too():
    try:
        listening = open_socket("::1", 0)
    except ConfigurationError as error:
        pytest.skip(str(error))
    with listening:
        assert listening.family == socket.AF_INET6


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wanted = f"cannot listen at TAGWERK_HOST=127.0.0.1 TAGWERK_PORT={port}: Address already in use"
        with pytest.raises(ConfigurationError, match=re.escape(wanted)):
            open_socket("127.0.0.1", port)
