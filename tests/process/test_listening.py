"""The listening socket, and what is said of one that cannot be opened."""

import re
import socket

import pytest

from service.errors import ConfigurationError
from service.process.acceptor import address_of, open_socket


def test_an_address_of_version_6_is_one_that_clients_understand():
    try:
        listening = open_socket("::1", 0)
    except ConfigurationError as error:
        pytest.skip(str(error))
    with listening:
        assert address_of(listening) == f"http://[::1]:{listening.getsockname()[1]}"


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wanted = f"cannot listen at TAGWERK_HOST=127.0.0.1 TAGWERK_PORT={port}: Address already in use"
        with pytest.raises(ConfigurationError, match=re.escape(wanted)):
            open_socket("127.0.0.1", port)


def test_a_port_is_opened_again_while_a_connection_of_an_earlier_service_lingers():
    with open_socket("127.0.0.1", 0) as earlier:
        address = earlier.getsockname()
        with socket.create_connection(address):
            earlier.accept()[0].close()
    open_socket(*address).close()
