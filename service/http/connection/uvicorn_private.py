"""The interfaces of uvicorn that are not documented. `process/server.py` overrides methods of `uvicorn.Server` besides.

pyproject.toml bounds uvicorn's version; `tests/http/connection/test_uvicorn_private.py` names what a new one breaks.
"""

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

__all__ = ["STATUS_LINE", "FlowControl", "HttpToolsProtocol", "RequestResponseCycle"]
