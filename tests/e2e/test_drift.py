"""Texts of another kind raise the alert of drift, those of a model's own kind do not: the real service, tiny models."""

from pathlib import Path

import pytest
import yaml
from prometheus_client.samples import Sample

from loadtests.drift import BOUND, LEAST_TEXTS, Drift, Kind, drift_between, send
from loadtests.text import running_text
from tests.conftest import ROOT, start_server
from tests.tiny_store import NAME, copy_version
from tests.training.tiny import treebank

TEXTS = 500
RULES = ROOT / "docker" / "prometheus"


def of(found: dict[Kind, Drift], version: str) -> dict[str, Drift]:
    return {kind.kind: drift for kind, drift in found.items() if kind.version == version}


def test_other_texts_drift_and_own_texts_do_not(tiny_versions: Path, tmp_path: Path) -> None:
    store = tmp_path / "store" / NAME
    store.mkdir(parents=True)
    copy_version(tiny_versions / NAME / "1", store / "1")
    with start_server(tmp_path / "log", TAGWERK_MODEL_STORE=str(store.parent)) as server:
        server.wait_until_ready()
        address = server.url.removeprefix("http://")
        dev = [list(tree.forms) for tree in treebank()["dev"]]
        own = of(send(address, "tag", (dev * TEXTS)[:TEXTS], "tokens"), "1")
        other = of(send(address, "tag", [one.text for one in running_text()[:TEXTS]]), "1")
    assert {*own} == {*other} == {"word", "character", "confidence", "label"}
    assert {drift.texts for drift in (*own.values(), *other.values())} == {TEXTS}
    assert not any(drift.fires for drift in own.values()), own
    assert other["word"].fires, other
    assert other["word"].unknown is not None
    assert other["word"].unknown[0] > 0.5 > other["word"].unknown[1]


def test_the_index_is_that_of_the_rules_of_prometheus() -> None:
    """promtool tests the rules on the same series: see `docker/prometheus/tests.yml`."""
    tests = yaml.safe_load((RULES / "tests.yml").read_text())["tests"]
    (test,) = (test for test in tests if "dev part" in test["name"])
    before, after = [], []
    for one in test["input_series"]:
        name, _, labels = one["series"].partition("{")
        pairs = dict(pair.split("=") for pair in labels.rstrip("}").split(", "))
        unquoted = {label: value.strip('"') for label, value in pairs.items()}
        first, _, rest = one["values"].partition("x")[0].partition("+")
        before.append(Sample(name, unquoted, float(first)))
        after.append(Sample(name, unquoted, float(first) + 60 * float(rest or 0)))
    found = drift_between(before, after)
    (expected,) = test["promql_expr_test"]
    for sample in expected["exp_samples"]:
        labels = dict(pair.split("=") for pair in sample["labels"].strip("{}").split(", "))
        model, version, kind = (labels[name].strip('"') for name in ("model", "version", "kind"))
        assert found[Kind(model, version, kind)].psi == pytest.approx(sample["value"], abs=1e-4)
    fires = {kind for kind, drift in found.items() if drift.fires}
    assert fires == {Kind("t", "1", "word")}
    (alert,) = (
        rule
        for group in yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
        for rule in group["rules"]
        if rule["alert"] == "TagwerkModelDrift"
    )
    assert f"> {BOUND} and" in alert["expr"]
    assert f">= {LEAST_TEXTS}" in alert["expr"]
