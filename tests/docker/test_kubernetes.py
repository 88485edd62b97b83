"""The manifests against the schemas of Kubernetes, which kubernetes-validate carries, and for what no schema asks."""

import asyncio
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from service.__main__ import parse
from service.api.app import create_app
from service.settings import Settings, unknown_variables
from service.telemetry.metrics import Metrics
from tests.docker.test_monitoring import METRICS, names_in
from tests.http.scene import made_context

DOCKER = Path(__file__).parents[2] / "docker"
KUBERNETES = DOCKER / "kubernetes"


def read(file: Path) -> list[dict[str, Any]]:
    """Returns the documents of a file."""
    return list(yaml.safe_load_all(file.read_text()))


def rendered(variant: str) -> list[dict[str, Any]]:
    """Returns the manifests of a variant: its resources, patches, images and secrets, as kustomize does."""
    folder = KUBERNETES / variant
    (kustomization,) = read(folder / "kustomization.yaml")
    manifests: list[dict[str, Any]] = []
    for resource in kustomization["resources"]:
        manifests += (
            read(folder / resource) if resource.endswith(".yaml") else rendered((folder / resource).resolve().name)
        )
    for patch in kustomization.get("patches", ()):
        (target,) = (one for one in manifests if one["kind"] == patch["target"]["kind"])
        assert target["metadata"]["name"] == patch["target"]["name"]
        change = yaml.safe_load(patch["patch"])
        if isinstance(change, list):
            for operation in change:
                apply(target, **operation)
        else:  # a strategic merge patch, of which only this directive is in use
            assert change.pop("$patch") == "delete"
            manifests.remove(target)
    for image in kustomization.get("images", ()):
        containers = [c for one in manifests if one["kind"] == "Deployment" for c in pod_of(one)["containers"]]
        for container in containers:
            assert container["image"].startswith(f"{image['name']}:")
            container["image"] = f"{image['name']}:{image['newTag']}"
    for secret in kustomization.get("secretGenerator", ()):
        metadata = {"name": secret["name"], "namespace": secret["namespace"]}
        data = dict.fromkeys(secret["files"], "e30=")
        manifests.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    return manifests


def apply(manifest: dict[str, Any], op: str, path: str, value: object) -> None:
    """Applies an operation of a JSON patch (RFC 6902)."""
    *steps, last = path.removeprefix("/").replace("~1", "/").split("/")
    place: Any = manifest
    for step in steps:
        place = place[int(step) if isinstance(place, list) else step]
    if last == "-":
        place.append(value)
    else:
        assert (last in place) == (op == "replace")
        place[last] = value


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = workload["spec"]["template"]["spec"]
    return pod


MANIFESTS = {variant: rendered(variant) for variant in ("cpu", "gpu", "keda", "annotate")}
BY_KIND = {manifest["kind"]: manifest for manifest in MANIFESTS["cpu"]}
POD = pod_of(BY_KIND["Deployment"])
(CONTAINER,) = POD["containers"]
OPTIONS = {entry["name"]: entry["value"] for entry in CONTAINER["env"]}
(SCALED_OBJECT,) = (manifest for manifest in MANIFESTS["keda"] if manifest not in MANIFESTS["cpu"])
ANNOTATE = {manifest["kind"]: manifest for manifest in MANIFESTS["annotate"]}
JOB = ANNOTATE["Job"]
JOB_POD = pod_of(JOB)
PODS = pytest.mark.parametrize("pod", [POD, JOB_POD], ids=["Deployment", "Job"])
ALL = [
    (variant, manifest)
    for variant, manifests in MANIFESTS.items()
    for manifest in manifests
    if manifest != SCALED_OBJECT  # of KEDA, not of Kubernetes
]


@pytest.mark.parametrize("version", ["1.30", "1.34"])
@pytest.mark.parametrize(
    ("variant", "manifest"), ALL, ids=lambda value: value if isinstance(value, str) else value["kind"]
)
def test_a_manifest_keeps_to_the_schema(variant, manifest, version):
    kubernetes_validate.validate(manifest, version, strict=True)


@PODS
def test_a_pod_can_do_nothing_that_it_need_not(pod):
    assert pod["securityContext"]["runAsNonRoot"] is True
    user = re.search(r"^USER (\d+):\d+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert pod["securityContext"]["runAsUser"] == int(user[1]), "the image's own"
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["resources"].keys() == {"requests", "limits"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_probes_ask_what_the_service_answers():
    """A pod that loads its models gets no requests, and is not killed for it."""

    async def answers() -> dict[str, int]:
        app = create_app(made_context())  # which has loaded no models
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return {kind: (await client.get(probe["path"])).status_code for kind, probe in probes.items()}

    probes = {kind: CONTAINER[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    assert asyncio.run(answers()) == {"startup": 503, "readiness": 503, "liveness": 200}
    (port,) = CONTAINER["ports"]
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert port["containerPort"] == Settings.model_fields["port"].default


def test_a_pod_may_drain_before_it_is_killed():
    assert not unknown_variables(OPTIONS)
    drain = float(OPTIONS["TAGWERK_DRAIN_DELAY_SECONDS"]) + Settings.model_fields["drain_timeout_seconds"].default
    assert POD["terminationGracePeriodSeconds"] > drain + 5


@pytest.mark.parametrize("variant", ["cpu", "gpu", "keda"])
def test_the_processes_and_one_more_fit_into_a_pod(variant):
    """A process takes 0.7 GB with all models after long use; a rollout takes one process more."""
    (container,) = pod_of(next(one for one in MANIFESTS[variant] if one["kind"] == "Deployment"))["containers"]
    options = {entry["name"]: entry["value"] for entry in container["env"]}
    processes = int(options["TAGWERK_PROCESSES"])
    assert processes >= 2, "one may be replaced while another serves"
    assert processes <= int(container["resources"]["requests"]["cpu"])
    requested, limit = (memory(container["resources"][kind]["memory"]) for kind in ("requests", "limits"))
    assert requested > processes * 0.7e9
    assert limit > (processes + 1) * 0.7e9 + memory(mounts(POD)["/tmp"]["emptyDir"]["sizeLimit"])


def test_it_scales_on_a_metric_that_exists_and_all_select_the_same_pods():
    (metric,) = BY_KIND["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert f"# HELP {metric['pods']['metric']['name']} " in Metrics().exposition().decode()
    labels = BY_KIND["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert BY_KIND["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert BY_KIND["Service"]["spec"]["selector"] == labels


@PODS
def test_variables_of_the_service_of_the_same_name_are_not_taken_for_options(pod):
    assert BY_KIND["Service"]["metadata"]["name"] == "tagwerk", "whose links set TAGWERK_PORT=tcp://..."
    assert pod["enableServiceLinks"] is False


def memory(quantity: str) -> int:
    """Returns the bytes of a quantity of memory."""
    return int(quantity[:-2]) * {"Mi": 2**20, "Gi": 2**30}[quantity[-2:]]


def mounts(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the volume at each path of the container."""
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    return {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}


def test_keys_are_in_a_secret_that_pods_may_read():
    secret = mounts(POD)[str(Path(OPTIONS["TAGWERK_API_KEYS_FILE"]).parent)]["secret"]
    assert secret["secretName"] == BY_KIND["Secret"]["metadata"]["name"]
    assert Path(OPTIONS["TAGWERK_API_KEYS_FILE"]).name in BY_KIND["Secret"]["data"]
    assert secret["defaultMode"] == 0o440, "for the group, fsGroup"
    assert POD["securityContext"]["fsGroup"] == POD["securityContext"]["runAsGroup"]
    ignored = (DOCKER.parent / ".gitignore").read_text().splitlines()
    assert "/docker/kubernetes/cpu/keys.json" in ignored


def test_only_the_port_of_http_is_reached_and_nothing_is_connected_to():
    policy = BY_KIND["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"] == BY_KIND["Service"]["spec"]["selector"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (rule,) = policy["ingress"]
    assert [port["port"] for port in rule["ports"]] == [port["name"] for port in CONTAINER["ports"]]
    assert all(source for source in rule["from"]), "an empty source is everybody"
    assert policy["egress"] == []


def test_keda_replaces_the_autoscaler_and_keeps_its_bounds():
    assert BY_KIND.keys() - {manifest["kind"] for manifest in MANIFESTS["keda"]} == {"HorizontalPodAutoscaler"}
    spec, before = SCALED_OBJECT["spec"], BY_KIND["HorizontalPodAutoscaler"]["spec"]
    assert spec["scaleTargetRef"] == before["scaleTargetRef"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (before["minReplicas"], before["maxReplicas"])
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == before["behavior"]
    (trigger,), (metric,) = spec["triggers"], before["metrics"]
    assert trigger["metadata"]["threshold"] == metric["pods"]["target"]["averageValue"]
    assert names_in(trigger["metadata"]["query"]) == {metric["pods"]["metric"]["name"]} <= METRICS.keys()


def test_the_operator_of_prometheus_scrapes_the_pods_and_has_the_rules():
    """Its definitions of the resources, as far as they are used, which a test of the schemas does not know."""
    script = ["sh", str(KUBERNETES / "monitoring.sh")]
    printed = subprocess.run(script, env={**os.environ, "RELEASE": "x"}, capture_output=True, text=True, check=True)
    monitor, *rules = yaml.safe_load_all(printed.stdout)
    assert all(one["metadata"]["labels"] == {"release": "x"} for one in (monitor, *rules))
    assert monitor["spec"]["selector"] == BY_KIND["Deployment"]["spec"]["selector"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == (CONTAINER["ports"][0]["name"], "/metrics")
    for name, rule in zip(("recording", "alerts"), rules, strict=True):
        assert (rule["kind"], rule["metadata"]["name"]) == ("PrometheusRule", f"tagwerk-{name}")
        assert rule["spec"] == yaml.safe_load((DOCKER / "prometheus" / f"{name}.yml").read_text())


def test_the_job_reads_and_writes_its_volumes():
    (container,) = JOB_POD["containers"]
    program, *command = container["command"]
    assert program == "tagwerk"
    parsed = parse([*command, *(argument.replace("$(JOB_COMPLETION_INDEX)", "0") for argument in container["args"])])
    claims: dict[str, Any] = {path: volume.get("persistentVolumeClaim") for path, volume in mounts(JOB_POD).items()}
    (folder,) = parsed.files
    assert claims[str(folder)]["readOnly"] is True
    assert parsed.output.endswith("/"), "a folder also for a share of one file"
    assert "readOnly" not in claims[parsed.output.removesuffix("/")]
    read_only = {mount["mountPath"] for mount in container["volumeMounts"] if mount.get("readOnly")}
    assert read_only == {str(folder)}
    assert JOB_POD["terminationGracePeriodSeconds"] > 0
