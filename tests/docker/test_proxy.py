"""HAProxy's configuration: what it waits for, and for how long."""

import re

from service.api.lines import MEDIA_TYPE
from service.settings import Settings
from tests.conftest import ROOT

CONFIGURATION = (ROOT / "docker" / "haproxy" / "haproxy.cfg").read_text()


def seconds(option: str) -> int:
    """Returns the value of a timeout."""
    return number(rf"{option} (\d+)s", CONFIGURATION)


def number(pattern: str, text: str) -> int:
    """Returns the number at which a pattern has its group."""
    found = re.search(pattern, text)
    assert found is not None
    return int(found[1])


def test_only_small_bodies_of_known_length_that_are_no_streams_are_awaited():
    assert "http-buffer-request" not in CONFIGURATION, "it waits for each body, and answers 408 to a stream"
    (rule,) = re.findall(r"http-request wait-for-body .*", CONFIGURATION)
    length = number(r"if \{ req\.hdr_val\(content-length\) le (\d+) \}", rule)
    assert length < number(r"tune\.bufsize (\d+)", CONFIGURATION)
    assert rule.endswith(f" !{{ req.hdr(content-type) -i -m beg {MEDIA_TYPE} }}")


def test_it_waits_as_long_as_the_service():
    fields = Settings.model_fields
    assert seconds("wait-for-body time") == fields["receive_timeout_seconds"].default
    assert seconds("timeout client") > fields["receive_timeout_seconds"].default
    assert seconds("timeout server") > fields["request_timeout_seconds"].default
    assert seconds("timeout client") < fields["keep_alive_seconds"].default
