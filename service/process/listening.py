"""Listening sockets for clients and workers. The supervisor opens them; its processes inherit them."""

import logging
import os
import socket
from contextlib import suppress
from pathlib import Path

from service.errors import ConfigurationError

BACKLOG = 2048


def open_socket(host: str, port: int) -> socket.socket:
    """Opens a listening socket. Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        where = f"TAGWERK_HOST={host} TAGWERK_PORT={port}"
        raise ConfigurationError(f"cannot listen at {where}: {error.strerror}") from None
    return listening


def log_address(listening: socket.socket) -> None:
    """Logs the address of a listening socket, once a signal would end the process in order."""
    host, port = listening.getsockname()[:2]
    logging.getLogger("tagwerk").info("listening at http://%s:%d, not ready yet", host, port)


def open_engine_socket(address: str) -> socket.socket:
    """Opens the socket on which an engine accepts workers: a Unix socket path, or host:port.

    Only the service's own user may connect to a Unix socket. Raises ConfigurationError.
    """
    try:
        if "/" in address:
            return _open_unix_socket(address)
        host, _, port = address.rpartition(":")
        if int(port) > 65535:
            raise ValueError("a port is at most 65535")
        return socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot listen at TAGWERK_ENGINE_ADDRESS={address}: {error}") from None


def _open_unix_socket(path: str) -> socket.socket:
    with suppress(FileNotFoundError):
        Path(path).unlink()
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)  # restricts access from the moment of creation
    try:
        listening.bind(path)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    listening.listen(BACKLOG)
    return listening
