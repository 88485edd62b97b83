"""The listening socket. The supervisor opens it; its processes inherit it."""

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


def address_of(listening: socket.socket) -> str:
    """Returns the URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
