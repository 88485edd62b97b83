"""Mutations of a request as it goes over the wire: its headers, the framing of its body, its compression, its bytes."""

import gzip
import random
import zlib

from loadtests.fuzz.message import Header, Message, chunk

CONTROL = [b"\0", b"\x7f", b"\xff", b"\r", b"\n", b"\t", b"\x0b", b"\x80\x81", b"\xe2\x80\xa8"]
HEADERS: list[Header] = [
    (b"Content-Length", b"0"),
    (b"Content-Length", b"5"),
    (b"Content-Length", b"-1"),
    (b"Content-Length", b"+5"),
    (b"Content-Length", b"5, 5"),
    (b"Content-Length", b"1" * 30),
    (b"Content-Length", b"0x5"),
    (b"Transfer-Encoding", b"chunked"),
    (b"Transfer-Encoding", b"gzip, chunked"),
    (b"Transfer-Encoding", b"identity"),
    (b"Transfer-Encoding", b"chunked, chunked"),
    (b"Connection", b"close"),
    (b"Connection", b"upgrade"),
    (b"Connection", b"keep-alive, Content-Length"),
    (b"Upgrade", b"websocket"),
    (b"Upgrade", b"h2c"),
    (b"Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Expect", b"100-continue"),
    (b"Expect", b"nothing"),
    (b"Host", b""),
    (b"Host", b"a b"),
    (b"Content-Encoding", b"gzip"),
    (b"Content-Encoding", b"br, gzip"),
    (b"Content-Encoding", b"gzip, gzip"),
    (b"Content-Type", b"application/x-ndjson"),
    (b"Content-Type", b"application/json; charset=utf-16"),
    (b"Content-Type", b"multipart/form-data; boundary=x"),
    (b"Content-Type", b"application/x-www-form-urlencoded"),
    (b"Content-Type", b"application/octet-stream"),
    (b"Content-Type", b"\xff"),
    (b"Accept", b"text/event-stream"),
    (b"Accept", b"text/x-conllu"),
    (b"Accept", b"application/json;q=nan, */*;q=-1"),
    (b"Accept", b"text/html;q=1e400"),
    (b"Accept", b"*/*;q=" + b"9" * 5000),
    (b"Accept-Encoding", b"gzip;q=0, *;q=x"),
    (b"X-Request-Timeout-Ms", b"1"),
    (b"X-Request-Timeout-Ms", b"0"),
    (b"X-Request-Timeout-Ms", b"9" * 401),
    (b"X-Request-Timeout-Ms", b"\xb2"),
    (b"X-Request-ID", b"a" * 300),
    (b"X-Request-ID", b"\xff\xfe"),
    (b"traceparent", b"00-" + b"0" * 32 + b"-" + b"f" * 16 + b"-01"),
    (b"traceparent", b"ff-x-y-z"),
    (b"tracestate", b"=" * 600),
    (b"Inference-Header-Content-Length", b"1"),
    (b"Inference-Header-Content-Length", b"9" * 5000),
    (b"Inference-Header-Content-Length", b"\xb2"),
    (b"Authorization", b"Bearer \xff"),
    (b"Authorization", b"Bearer"),
    (b"Origin", b"null"),
    (b"Access-Control-Request-Method", b"POST"),
    (b"Cookie", b"a=b; " * 500),
    (b"Range", b"bytes=0-1"),
    (b"If-None-Match", b"*"),
    (b"", b"no name"),
    (b" Host", b"folded"),
    (b"X", b"y" * 33_000),
    (b"X" * 33_000, b"y"),
]
METHODS = [
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"CONNECT",
    b"PRI",
    b"get",
    b"FOO",
]
TARGETS = [
    b"/",
    b"*",
    b"//",
    b"/../tag",
    b"/tag/",
    b"/tag?x=" + b"a" * 5000,
    b"/tag#f",
    b"/ta%67",
    b"/%00",
    b"/%ff%fe",
    b"/tag%",
    b"/%2e%2e/%2e%2e/etc/passwd",
    b"http://elsewhere/tag",
    b"http://[::1/tag",
    b"/models/%F0%9F%98%80",
    b"/docs/assets/../../app.py",
    b"/static/%2e%2e/%2e%2e/settings.py",
    b"/docs",
    b"/openapi.json",
    b"/" + b"a" * 40_000,
    b"/tag;v=1",
    b"/\xc3\xa9",
    b"tag",
    b"",
    b"/v2/models/tagger-en/versions/4/infer",
    b"/admin/keys",
]
SIZES = [
    b"0",
    b"00000",
    b"-1",
    b"+5",
    b"5;x=y",
    b"5;" + b"x" * 20_000,
    b"5 ",
    b" 5",
    b"0x5",
    b"g",
    b"ffffffffffffffff",
    b"f" * 40,
    b"",
]
TRAILERS: list[Header] = [
    (b"X-Trailer", b"1"),
    (b"Content-Length", b"3"),
    (b"X-Request-ID", b"from-a-trailer"),
    (b"Transfer-Encoding", b"chunked"),
    (b"Host", b"elsewhere"),
    (b"X", b"y" * 40_000),
    (b"Content-Encoding", b"gzip"),
    (b"", b""),
]


def change_headers(message: Message, chance: random.Random) -> None:
    """Adds, removes, repeats, reorders or damages headers."""
    for _ in range(chance.choice([1, 1, 2, 3])):
        headers = message.headers
        at = chance.randrange(len(headers) + 1)
        match chance.randrange(6):
            case 0 | 1:
                headers.insert(at, chance.choice(HEADERS))
            case 2:
                headers[at : at + 1] = []
            case 3:
                headers[at:at] = headers[at : at + 1] * chance.choice([1, 1, 50, 1000])
            case 4:
                chance.shuffle(headers)
            case 5 if at < len(headers):
                name, value = headers[at]
                headers[at] = chance.choice(
                    [(name.swapcase(), value), (name, damaged(value, chance)), (damaged(name, chance), value)]
                )


def change_target(message: Message, chance: random.Random) -> None:
    """Changes the method or the path."""
    match chance.randrange(4):
        case 0:
            message.method = chance.choice(METHODS)
        case 1:
            message.target = chance.choice(TARGETS)
        case 2:
            message.target += chance.choice([b"?", b"/", b"%", b"?a=b&a=b", b"?timeout=1", b"\xff", b"%ff", b"//"])
        case 3:
            message.target = damaged(message.target, chance)


def framed(message: Message, chance: random.Random) -> bytes:
    """Returns the request with a body that is framed in another way, rightly or wrongly."""
    body = message.body
    cuts = sorted(chance.randrange(len(body) + 1) for _ in range(chance.choice([0, 1, 3, 20]))) if body else []
    sizes = [b - a for a, b in zip([0, *cuts], cuts, strict=False)]
    match chance.randrange(6):
        case 0:
            return message.chunked(sizes, [])
        case 1:
            return message.chunked(sizes, chance.choices(TRAILERS, k=chance.choice([1, 2, 5])))
        case 2:
            head = message.head([*message.headers, (b"Transfer-Encoding", b"chunked")])
            return head + chunk(body) + chance.choice(SIZES) + b"\r\n" + body[:5] + b"\r\n0\r\n\r\n"
        case 3:
            length = chance.choice([len(body) - 1, len(body) + 1, len(body) * 2, 0, 4_194_305, 2**63, 2**64])
            return message.head([*message.headers, (b"Content-Length", b"%d" % length)]) + body
        case 4:  # both, in either order
            both = [(b"Content-Length", b"%d" % len(body)), (b"Transfer-Encoding", b"chunked")]
            return message.head([*message.headers, *chance.sample(both, 2)]) + chance.choice(
                [body, chunk(body) + b"0\r\n\r\n"]
            )
        case _:
            return message.chunked(sizes, []).replace(b"\r\n", chance.choice([b"\n", b"\r", b"\r\r\n", b"\n\r\n"]))


def zipped(content: bytes, chance: random.Random) -> bytes:
    """Returns a body as gzip, or as what is nearly gzip."""
    whole = gzip.compress(content, 6, mtime=0)
    match chance.randrange(9):
        case 0:
            return whole
        case 1:
            return whole[: chance.randrange(len(whole))]
        case 2:
            return damaged(whole, chance)
        case 3:
            return whole + chance.choice([whole, b"\0" * 100, b"rest"])
        case 4:
            return zlib.compress(content)
        case 5:
            return gzip.compress(whole, mtime=0)
        case 6:
            return gzip.compress(b" " * 8_000_000, mtime=0)
        case 7:
            return (
                b"\x1f\x8b\x08\x1c" + b"\0" * 6 + b"\xff\xff" + b"name" * chance.choice([10, 20_000])
            )  # optional fields of the head
        case _:
            return b""


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Flips, removes, repeats or inserts bytes."""
    damaged = bytearray(content)
    for _ in range(chance.choice([1, 1, 3, 10])):
        at = chance.randrange(len(damaged) + 1)
        length = chance.choice([1, 1, 4, 40])
        match chance.randrange(5):
            case 0 if at < len(damaged):
                damaged[at] ^= 1 << chance.randrange(8)
            case 1:
                del damaged[at : at + length]
            case 2:
                damaged[at:at] = damaged[at : at + length] * chance.choice([1, 1, 20])
            case 3:
                damaged[at:at] = chance.choice(CONTROL)
            case 4:
                damaged[at:at] = chance.randbytes(length)
    return bytes(damaged)


def split(content: bytes, chance: random.Random) -> list[bytes]:
    """Returns content in pieces that are written one after the other."""
    cuts = sorted({chance.randrange(len(content) + 1) for _ in range(chance.choice([0, 0, 1, 2, 8]))})
    return [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True) if b > a]
