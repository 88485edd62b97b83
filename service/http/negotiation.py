"""Content negotiation: media types and encodings."""

from collections.abc import Mapping, Sequence

from fastapi import Request
from starlette.exceptions import HTTPException

from service.http.context import headers_of

MOST_NAMES = 100  # names of a header that are read


def wanted(request: Request, offers: Sequence[str]) -> str:
    """Returns the offer that the Accept header prefers, the first of equals. Raises 406 if it accepts none.

    RFC 9110, section 12.5.1.
    """
    header = headers_of(request).get(b"accept")
    if header is None or header == b"*/*":
        return offers[0]
    accept = header.decode("latin-1")
    ranges = qualities(accept)
    best, quality = max(((offer, _quality(offer, ranges)) for offer in offers), key=lambda pair: pair[1])
    if quality <= 0:
        raise HTTPException(406, f"the Accept header, {accept[:200]!r}, allows none of: {', '.join(offers)}")
    return best


def accepts_gzip(headers: Mapping[bytes, bytes]) -> bool:
    """Returns whether a client with these headers accepts gzip (RFC 9110, section 12.5.3)."""
    codings = qualities(headers.get(b"accept-encoding", b"").decode("latin-1"))
    return codings.get("gzip", codings.get("*", 0.0)) > 0


def qualities(header: str) -> dict[str, float]:
    """Parses names and quality values of a header: "text/*;q=0.5, */*" (RFC 9110, section 12.4.2)."""
    found = {}
    for part in header.lower().split(",", MOST_NAMES)[:MOST_NAMES]:
        name, _, parameters = part.partition(";")
        found[name.strip()] = _weight(parameters)
    return found


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0 <= weight <= 1 else 0.0
    return 1.0


def _quality(offer: str, ranges: Mapping[str, float]) -> float:
    """Returns an offer's quality value by the most specific range that matches it."""
    for name in (offer, offer.split("/")[0] + "/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0
