"""The listening socket. The supervisor opens it; its processes inherit it."""

import logging
import socket

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
