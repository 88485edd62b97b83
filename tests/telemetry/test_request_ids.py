"""The ids of requests: a client's own where it cannot be mistaken for other fields of the log."""

import pytest

from service.telemetry.request import ids_from


@pytest.mark.parametrize("id", ["order-1042", "a" * 128, "4f2a/9c:1+b=|~!", "Root=1-67891233"])
def test_the_id_of_a_client_is_taken(id):
    assert ids_from({b"x-request-id": id.encode()}).request == id


@pytest.mark.parametrize(
    "id", [b"", b"a" * 129, b"a; key admin", b"a,b", b"a;b", b"a b", b"a\tb", b"a\x7f", b"\xff", b"a\n"]
)
def test_one_that_could_forge_a_field_of_the_log_is_replaced(id):
    made = ids_from({b"x-request-id": id}).request
    assert len(made) == 32
    assert made != ids_from({b"x-request-id": id}).request
