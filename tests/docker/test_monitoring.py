"""Rules and dashboard ask for metrics and labels that exist; alerts have entries in the runbook."""

import json
import re

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from service.telemetry.metric_files import PROCESS_INFO
from service.telemetry.metrics import Metrics
from tests.conftest import ROOT

DOCKER = ROOT / "docker"
RULES = [
    rule
    for name in ("recording", "alerts")
    for group in yaml.safe_load((DOCKER / "prometheus" / f"{name}.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
DASHBOARD = json.loads((DOCKER / "grafana" / "dashboards" / "tagwerk.json").read_text())
PANELS = DASHBOARD["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]  # a row has none
QUERIES += [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]

WORDS = {"by", "without", "on", "or", "and", "unless", "offset", "ignoring", "bool", "group_left"}
PROMETHEUS_OWN = {"up", "ALERTS"}


# Each metric with its labels.
METRICS = {
    name: {*collector._labelnames, *(("le",) if name.endswith("_bucket") else ())}
    for collector, names in Metrics().registry._collector_to_names.items()
    if isinstance(collector, MetricWrapperBase)
    for name in names
} | {PROCESS_INFO: {"process", "pid"}}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
LABELS = set().union(*METRICS.values()) | {"job", "instance", "alertname", "alertstate"}


def names_in(query: str) -> set[str]:
    """Returns the series that a PromQL query asks for."""
    bare = re.sub(r'"[^"]*"', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\boffset\s+\w+", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"(?<![\w:.])([A-Za-z_][\w:]*)(?!\s*\(|[\w:])", bare)) - WORDS


def labels_in(query: str) -> set[str]:
    """Returns the labels that a PromQL query matches or groups by."""
    matched = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query)
    grouped = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", query)
    return {*matched, *(label.strip() for group in grouped for label in group.split(","))}


@pytest.mark.parametrize("query", [*(rule["expr"] for rule in RULES), *QUERIES])
def test_a_query_asks_for_what_exists(query):
    names = names_in(query)
    assert names
    assert names <= METRICS.keys() | RECORDED | PROMETHEUS_OWN
    assert labels_in(query) <= LABELS


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_has_an_entry_in_the_runbook(alert):
    address, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert address == '{{ or $externalLabels.tagwerk_runbook "docs/runbook.md" }}', (
        "one setting, and what it is without"
    )
    headings = re.findall(r"^## (.+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert anchor == alert["alert"].lower()
    assert anchor in [heading.lower() for heading in headings]
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"]


def test_alerts_go_to_the_alertmanager_of_the_stack():
    prometheus, alertmanager = (
        yaml.safe_load((DOCKER / "prometheus" / f"{name}.yml").read_text()) for name in ("prometheus", "alertmanager")
    )
    assert set(prometheus["global"]["external_labels"]) == {"tagwerk_runbook"}
    (target,) = prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    name, _, port = target.partition(":")
    services = yaml.safe_load((DOCKER / "docker-compose.yml").read_text())["services"]
    assert services[name]["ports"][0].endswith(f":{port}")
    severities = {alert["labels"]["severity"] for alert in ALERTS}
    (urgent,) = alertmanager["route"]["routes"]
    assert urgent["matchers"] == ['severity="page"']
    assert severities == {"page", "ticket"}
    receivers = {receiver["name"] for receiver in alertmanager["receivers"]}
    assert receivers == {alertmanager["route"]["receiver"], urgent["receiver"]}
    known = {alert["alert"] for alert in ALERTS}
    for rule in alertmanager["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            _, operator, pattern = re.split(r"(=~?)", matcher, maxsplit=1)
            pattern = pattern.strip('"')
            assert {one for one in known if re.fullmatch(pattern, one)}, (operator, matcher)


def test_the_runbook_has_no_entry_for_an_alert_that_is_gone():
    headings = re.findall(r"^## (Tagwerk.+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(alert["alert"] for alert in ALERTS)


def test_the_table_of_models_is_tested_with_the_rules():
    """promtool runs its query: a table that is empty looks like a service without models."""
    (table,) = (panel for panel in PANELS if panel["type"] == "table")
    tests = yaml.safe_load((DOCKER / "prometheus" / "tests.yml").read_text())["tests"]
    queries = [query["expr"] for test in tests for query in test.get("promql_expr_test", ())]
    assert table["targets"][0]["expr"] in queries
