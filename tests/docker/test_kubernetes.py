"""The Helm chart and its output: by the schemas that kubernetes-validate carries, and for what no schema asks."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from service.__main__ import parse
from service.api.app import create_app
from service.commands.annotate.job import check
from service.settings import Settings, unknown_variables
from service.telemetry.metrics import Metrics
from tests.conftest import ROOT
from tests.docker.test_monitoring import METRICS, names_in
from tests.http.scene import made_context

DOCKER = ROOT / "docker"
KUBERNETES = DOCKER / "kubernetes"


def read(file: Path) -> list[dict[str, Any]]:
    """Returns the documents of a file."""
    return list(yaml.safe_load_all(file.read_text()))


def render(folder: Path, *variants: str) -> subprocess.CompletedProcess[str]:
    """Checks the chart with Helm's own library and renders it into a folder."""
    script = ("run", "--quiet", "--no-project", "--python", sys.executable, str(KUBERNETES / "render.py"))
    command = (sys.executable, "-m", "uv", *script, str(folder), *variants)
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = workload["spec"]["template"]["spec"]
    return pod


def memory(quantity: str) -> int:
    """Returns the bytes of a quantity of memory."""
    return int(quantity[:-2]) * {"Mi": 2**20, "Gi": 2**30}[quantity[-2:]]


def mounts(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the volume at each path of the container."""
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    return {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}


VARIANTS = ("cpu", "gpu", "keda", "annotate", "monitoring")
MANIFESTS = {variant: read(KUBERNETES / f"{variant}.yaml") for variant in VARIANTS}
KINDS = {variant: {one["kind"]: one for one in manifests} for variant, manifests in MANIFESTS.items()}
BY_KIND = KINDS["cpu"]
POD, JOB_POD = pod_of(BY_KIND["Deployment"]), pod_of(KINDS["annotate"]["Job"])
PODS = pytest.mark.parametrize("pod", [POD, JOB_POD], ids=["Deployment", "Job"])
(CONTAINER,) = POD["containers"]
OPTIONS = {entry["name"]: entry["value"] for entry in CONTAINER["env"]}
OTHERS = ("ScaledObject", "PodMonitor", "PrometheusRule")  # of KEDA and Prometheus' operator, not of Kubernetes


def check_schema(manifests: list[dict[str, Any]], version: str) -> None:
    for manifest in manifests:
        if manifest["kind"] not in OTHERS:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", ["1.30", "1.34"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_manifests_keep_to_the_schema(variant, version):
    check_schema(MANIFESTS[variant], version)


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
    assert BY_KIND["Service"]["metadata"]["name"] == "tagwerk", "whose links set TAGWERK_PORT=tcp://..., an option"
    assert pod["enableServiceLinks"] is False


async def test_probes_ask_what_the_service_answers():
    """A pod that loads its models gets no requests, and is not killed for it."""
    probes = {kind: CONTAINER[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    app = create_app(made_context())  # which has loaded no models
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        answers = {kind: (await client.get(probe["path"])).status_code for kind, probe in probes.items()}
    assert answers == {"startup": 503, "readiness": 503, "liveness": 200}
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
    (container,) = pod_of(KINDS[variant]["Deployment"])["containers"]
    options = {entry["name"]: entry["value"] for entry in container["env"]}
    processes = int(options["TAGWERK_PROCESSES"])
    assert processes >= 2, "one may be replaced while another serves"
    assert processes <= int(container["resources"]["requests"]["cpu"])
    requested, limit = (memory(container["resources"][kind]["memory"]) for kind in ("requests", "limits"))
    assert requested > processes * 0.7e9
    assert limit > (processes + 1) * 0.7e9 + memory(mounts(POD)["/tmp"]["emptyDir"]["sizeLimit"])


RENDERED: dict[str, dict[str, Any]] = {
    "gpu-keda": {
        "image": {"repository": "registry/tagwerk", "digest": f"sha256:{'0' * 64}"},
        "gpu": True,
        "processes": 3,
        "autoscaling": {"by": "keda", "max": 4},
        "keys": {"content": "[]"},
        "annotate": {"enabled": True, "shards": 3, "arguments": ["--allow-bad-rows"]},
        "monitoring": {"enabled": True},
        "options": {"TAGWERK_MAX_ITEMS": "7"},
    },
    "bare": {"autoscaling": {"by": "none"}, "shared": {"enabled": False}, "networkPolicy": False, "processes": 4},
    "claims": {"shared": {"claim": "mine"}, "resources": {"limits": {"cpu": "1"}}},
    "class": {"shared": {"storageClass": "nfs"}, "replicas": 5},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with the output of the chart: of the values of the manifests, and of those of RENDERED."""
    made = tmp_path_factory.mktemp("chart")
    done = render(made)
    if done.returncode and "helm-python-sdk" in done.stderr:
        pytest.skip(f"helm-python-sdk is neither in uv's cache nor can it be downloaded: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    done = render(made, json.dumps(RENDERED))
    assert done.returncode == 0, done.stderr
    return made


def test_the_manifests_are_output_of_the_chart(folder):
    for variant in VARIANTS:
        current = (folder / f"{variant}.yaml").read_text()
        assert (KUBERNETES / f"{variant}.yaml").read_text() == current, "make manifests writes them anew"


@pytest.mark.parametrize("variant", RENDERED)
def test_other_values_keep_to_the_schema(folder, variant):
    check_schema(read(folder / f"{variant}.yaml"), "1.34")


def test_values_are_where_they_belong(folder):
    kinds = {variant: {one["kind"]: one for one in read(folder / f"{variant}.yaml")} for variant in RENDERED}
    full, bare, claims = kinds["gpu-keda"], kinds["bare"], kinds["claims"]
    assert {"Job", "ScaledObject", "PodMonitor", "PrometheusRule", "Secret"} <= full.keys()
    assert not {"HorizontalPodAutoscaler", "Namespace"} & full.keys()
    containers = [container for kind in ("Deployment", "Job") for container in pod_of(full[kind])["containers"]]
    assert {container["image"] for container in containers} == {f"registry/tagwerk@sha256:{'0' * 64}"}
    assert {"name": "TAGWERK_MAX_ITEMS", "value": "7"} in containers[0]["env"]
    assert containers[0]["resources"]["requests"]["cpu"] == "3"
    assert containers[1]["args"][-3:] == ["--shard=$(JOB_COMPLETION_INDEX)/3", "--processes=2", "--allow-bad-rows"]
    assert full["Secret"]["data"] == {"keys.json": "W10="}
    assert full["ScaledObject"]["spec"]["maxReplicaCount"] == 4
    assert not {"HorizontalPodAutoscaler", "NetworkPolicy", "PersistentVolumeClaim"} & bare.keys()
    assert bare["Deployment"]["spec"]["replicas"] == 2
    assert mounts(pod_of(bare["Deployment"]))["/var/cache/tagwerk"]["emptyDir"] == {}
    assert memory(pod_of(bare["Deployment"])["containers"][0]["resources"]["limits"]["memory"]) == 6 * 2**30
    assert "PersistentVolumeClaim" not in claims
    assert mounts(pod_of(claims["Deployment"]))["/var/cache/tagwerk"]["persistentVolumeClaim"] == {"claimName": "mine"}
    assert kinds["class"]["PersistentVolumeClaim"]["spec"]["storageClassName"] == "nfs"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"autoscalling": {}}, "autoscalling"),
        ({"autoscaling": {"by": "vpa"}}, "autoscaling/by"),
        ({"processes": 0}, "processes"),
        ({"options": {"MAX_ITEMS": "7"}}, "MAX_ITEMS"),
        ({"image": {"digest": "latest"}}, "image/digest"),
    ],
)
def test_wrong_values_are_refused(folder, values, named):
    done = render(folder, json.dumps({"wrong": values}))
    assert done.returncode != 0
    assert named in done.stderr
    assert not (folder / "wrong.yaml").exists()


def test_it_scales_on_a_metric_that_exists_and_all_select_the_same_pods():
    (metric,) = BY_KIND["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert f"# HELP {metric['pods']['metric']['name']} " in Metrics().exposition().decode()
    labels = BY_KIND["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert BY_KIND["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert BY_KIND["Service"]["spec"]["selector"] == labels


def test_keys_are_in_a_secret_that_pods_may_read():
    secret = mounts(POD)[str(Path(OPTIONS["TAGWERK_API_KEYS_FILE"]).parent)]["secret"]
    readme = (DOCKER / "README.md").read_text()
    name = Path(OPTIONS["TAGWERK_API_KEYS_FILE"]).name
    assert f"create secret generic {secret['secretName']} --from-file={name}=docker/kubernetes/keys.json" in readme
    assert secret["defaultMode"] == 0o440, "for the group, fsGroup"
    assert POD["securityContext"]["fsGroup"] == POD["securityContext"]["runAsGroup"]
    ignored = (DOCKER.parent / ".gitignore").read_text().splitlines()
    assert "/docker/kubernetes/keys.json" in ignored


def test_only_the_port_of_http_is_reached_and_nothing_is_connected_to():
    policy = BY_KIND["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"] == BY_KIND["Service"]["spec"]["selector"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (rule,) = policy["ingress"]
    assert [port["port"] for port in rule["ports"]] == [port["name"] for port in CONTAINER["ports"]]
    assert all(source for source in rule["from"]), "an empty source is everybody"
    assert policy["egress"] == []


def test_keda_replaces_the_autoscaler_and_keeps_its_bounds():
    assert BY_KIND.keys() - KINDS["keda"].keys() == {"HorizontalPodAutoscaler"}
    spec, before = KINDS["keda"]["ScaledObject"]["spec"], BY_KIND["HorizontalPodAutoscaler"]["spec"]
    assert spec["scaleTargetRef"] == before["scaleTargetRef"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (before["minReplicas"], before["maxReplicas"])
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == before["behavior"]
    (trigger,), (metric,) = spec["triggers"], before["metrics"]
    assert trigger["metadata"]["threshold"] == metric["pods"]["target"]["averageValue"]
    assert names_in(trigger["metadata"]["query"]) == {metric["pods"]["metric"]["name"]} <= METRICS.keys()


def test_the_operator_of_prometheus_scrapes_the_pods_and_has_the_rules():
    """Its definitions of the resources, as far as they are used, which a test of the schemas does not know."""
    monitor, *rules = MANIFESTS["monitoring"]
    assert all(one["metadata"]["labels"] == {"release": "prometheus"} for one in (monitor, *rules))
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
    check(parsed)
    claims: dict[str, Any] = {path: volume.get("persistentVolumeClaim") for path, volume in mounts(JOB_POD).items()}
    (folder,) = parsed.files
    assert claims[str(folder)]["readOnly"] is True
    assert parsed.output.endswith("/"), "a folder also for a share of one file"
    assert "readOnly" not in claims[parsed.output.removesuffix("/")]
    read_only = {mount["mountPath"] for mount in container["volumeMounts"] if mount.get("readOnly")}
    assert read_only == {str(folder)}
    assert JOB_POD["terminationGracePeriodSeconds"] > 0
