"""A request before it is encoded, so that each part of it can be changed by itself."""

from dataclasses import dataclass, field

Header = tuple[bytes, bytes]


@dataclass(slots=True)
class Message:
    """An HTTP/1.1 request."""

    method: bytes
    target: bytes
    headers: list[Header] = field(default_factory=list)
    body: bytes = b""

    def encode(self) -> bytes:
        """Returns the request with the length of its body."""
        return (
            self.head(self.headers + ([(b"Content-Length", b"%d" % len(self.body))] if self.body else [])) + self.body
        )

    def chunked(self, sizes: list[int], trailers: list[Header]) -> bytes:
        """Returns the request with its body in chunks of these sizes, the last taking the rest."""
        chunks, start = [], 0
        for size in [*sizes, len(self.body)]:
            if content := self.body[start : start + size]:
                chunks.append(chunk(content))
            start += size
        end = b"0\r\n" + b"".join(b"%b: %b\r\n" % trailer for trailer in trailers) + b"\r\n"
        return self.head([*self.headers, (b"Transfer-Encoding", b"chunked")]) + b"".join(chunks) + end

    def head(self, headers: list[Header]) -> bytes:
        """Returns the request line and the headers, with the empty line that ends them."""
        fields = b"".join(b"%b: %b\r\n" % header for header in headers)
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (self.method, self.target, fields)


def chunk(content: bytes) -> bytes:
    """Returns a chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(content), content)
