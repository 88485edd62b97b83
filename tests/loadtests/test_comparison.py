"""The rows of the bench's tables."""

from dataclasses import replace

import pytest

from loadtests.client import Measurement
from loadtests.comparison import HEADS, Row, processor_figures
from loadtests.processor import Round


def seen(rate: float, p99: float = 20.0) -> Measurement:
    return Measurement(rate, 10.0, p99, 0, 0)


def row(rates: list[float], p99: float = 20.0, **changes) -> Row:
    own = [Round(seen(100.0, p99), 5.0, 0.05) for _ in rates]
    made = Row("classify", 64, "mosec", "", 2, False, own, [seen(rate) for rate in rates], 0)
    return replace(made, **changes)


def test_the_ratio_is_the_median_of_rounds_beside_each_other():
    cells = dict(zip(HEADS, row([100.0, 50.0, 40.0, 10.0]).cells(), strict=False))
    assert (cells["ratio"], cells["its range"]) == ("2.25", "1.00–10.0")


@pytest.mark.parametrize(
    ("rate", "changes", "met"),
    [
        *((50.0, {}, [True, True]), (100.0, {}, [False, True]), (50.0, {"p99": 21.0}, [True, False])),
        *((50.0, {"clients": 16}, []), (50.0, {"words": True}, []), (50.0, {"peer": "spacy"}, [])),
        (110.0, {"traffic": "tag", "words": True}, [True]),
        (110.0, {"traffic": "no-lemmas", "words": True}, [False]),
    ],
)
def test_a_ratio_has_its_aim_at_saturation_by_the_requests_the_peer_and_its_memory_of_words(rate, changes, met):
    assert [figure.met for figure in row([rate] * 4, **changes).figures()] == met


def test_processor_time_is_that_of_a_request_over_all_rows():
    (figure,) = processor_figures([row([50.0] * 4), row([10.0] * 4, peer="litserve"), row([10.0], clients=16)])
    assert round(figure.value, 3) == 0.1
    assert "in 8 rounds" in str(figure)
