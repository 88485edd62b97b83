"""The interfaces of uvicorn that are not documented, whose version pyproject.toml bounds.

`process/server.py` overrides methods of `uvicorn.Server` besides.
"""

from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

__all__ = ["STARTUP_FAILURE", "STATUS_LINE", "FlowControl", "HttpToolsProtocol", "RequestResponseCycle"]
