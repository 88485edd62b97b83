"""Checks whether a running service is ready: a health check without curl."""

import http.client
import json

from service.settings import Settings
from service.types import State

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def run(settings: Settings) -> int:
    """Prints the status from /readyz at the host and port of the settings, or why there is none.

    Returns the exit status: 0 if the service is ready, otherwise 1.
    """
    host = ANYWHERE.get(settings.host, settings.host)
    connection = http.client.HTTPConnection(host, settings.port, timeout=settings.receive_timeout_seconds)
    try:
        connection.request("GET", "/readyz")
        status = str(json.load(connection.getresponse())["status"])
    except (OSError, http.client.HTTPException, ValueError) as error:
        status = f"no answer from {host}:{settings.port}: {error}"
    finally:
        connection.close()
    print(status)
    return 0 if status == State.READY else 1
