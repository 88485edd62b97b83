"""What a client sends and what it wants to get: media types."""

from collections.abc import Sequence

from fastapi import Request
from starlette.exceptions import HTTPException

from service.api.context import headers_of

JSON = "application/json"


def wanted(request: Request, offers: Sequence[str]) -> str:
    """Returns the offer that the Accept header likes best, the first of equals. Raises 406 where it likes none.

    RFC 9110, section 12.5.1.
    """
    header = headers_of(request).get(b"accept")
    if header is None or header == b"*/*":
        return offers[0]
    accept = header.decode("latin-1")
    ranges = [_range(part) for part in accept.split(",")]
    best, liked = max(((offer, _quality(offer, ranges)) for offer in offers), key=lambda pair: pair[1])
    if liked <= 0:
        raise HTTPException(406, f"the Accept header, {accept[:200]!r}, allows none of: {', '.join(offers)}")
    return best


def _range(part: str) -> tuple[str, float]:
    """Reads a media range and its quality: "text/*;q=0.5"."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter[2:])
            except ValueError:
                return name, 0.0
    return name, 1.0


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Returns how much an offer is liked: what the most specific range that fits it says."""
    found = dict(ranges)
    for name in (offer, offer.split("/")[0] + "/*", "*/*"):
        if name in found:
            return found[name]
    return 0.0
