"""Rollbacks are counted: by hand, automatic, and of a canary."""

import pytest

from service.process.rollout import count_rollbacks
from service.telemetry.metrics import Metrics
from service.types import ModelKey


@pytest.mark.parametrize(
    ("steps", "counted"),
    [
        ([{"1": 1.0}], 0),
        ([{"1": 1.0}, {"2": 1.0}], 0),
        ([{"2": 1.0}, {"1": 1.0}], 1),
        ([{"10": 1.0}, {"9": 1.0}, {"9": 1.0}, {"10": 1.0}, {"9": 1.0}], 2),
        ([{"1": 0.9, "2": 0.1}, {"1": 1.0}], 0),
        ([{"1": 0.5, "2": 0.5}, {"1": 1.0}], 0),
        ([{"1": 0.2, "2": 0.8}, {"1": 1.0}], 1),
        ([{"2": 1.0, "1": 0.0}, {"1": 1.0, "2": 0.0}], 1),
    ],
)
def test_a_change_to_an_older_version_is_counted(steps, counted):
    metrics = Metrics()
    served: dict[str, int] = {}
    for step in steps:
        shares = {ModelKey("tagger", version): share for version, share in step.items()} | {ModelKey("b", "1"): 1.0}
        count_rollbacks(shares, served, metrics)
    exposed = metrics.exposition().decode()
    assert f'tagwerk_rollbacks_total{{model="tagger"}} {counted}.0' in exposed
    assert 'tagwerk_rollbacks_total{model="b"} 0.0' in exposed, "exported before the first one"
