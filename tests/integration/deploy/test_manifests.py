"""The manifests build, are what the published schemas say, and agree with the service and with each other."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tabular_bento.serving.metrics import METRICS
from tabular_bento.serving.settings import ServingSettings
from tests.integration.deploy.tools import DEPLOY, files_of
from tests.serving import ServedPort

Manifest = dict[str, Any]
BUILT = ("kubernetes/base", "kubernetes/overlays/production", "kserve", "observability")
SCHEMAS = Path(__file__).with_name("schemas.py")
CANARY = DEPLOY / "kserve" / "canary.yaml"
PREFIX = "TABULAR_BENTO_"
"""Of settings: Kubernetes gives every pod variables such as GRPC_PORT for a Service named grpc."""


@pytest.fixture(scope="module")
def built(tools: Path) -> dict[str, list[Manifest]]:
    """The manifests of each folder, as kustomize builds them."""
    return {
        folder: list(yaml.safe_load_all(run(tools / "kubectl", "kustomize", str(DEPLOY / folder)))) for folder in BUILT
    }


@pytest.fixture(scope="module")
def production(built: dict[str, list[Manifest]]) -> list[Manifest]:
    return built["kubernetes/overlays/production"]


@pytest.fixture(scope="module")
def everything(built: dict[str, list[Manifest]]) -> list[Manifest]:
    """All that is deployed somewhere."""
    return [*built["kubernetes/overlays/production"], *built["kserve"], yaml.safe_load(CANARY.read_text())]


def test_all_manifests_are_what_the_published_schemas_say(tools: Path, everything: list[Manifest]) -> None:
    checked = check(tools, everything)
    assert checked.returncode == 0, checked.stderr
    kinds = {name.split("/")[0] for name in checked.stdout.split()}
    wanted = {"Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "CronJob", "Service"}
    assert {*wanted, "ServiceMonitor", "PrometheusRule", "InferenceService", "PersistentVolumeClaim"} <= kinds


MISTAKES: dict[str, tuple[str, tuple[Any, ...], Any]] = {
    f"{kind}-{path[-1]}": (kind, path, value)
    for kind, path, value in (
        ("Deployment", ("spec", "template", "spec", "containers", 0, "readinesProbe"), {}),
        ("Deployment", ("spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"), "http"),
        ("ServiceMonitor", ("spec", "endpoints", 0, "intervall"), "1s"),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "runbook"), "x"),
        ("InferenceService", ("spec", "predictor", "minReplica"), 1),
        ("InferenceService", ("spec", "predictor", "minReplicas"), "two"),
        ("InferenceService", ("spec", "predictor", "containers", 0, "imagge"), "x"),
    )
}
"""Kind, place and value of each."""

DECIDED: dict[str, tuple[tuple[Any, ...], Any]] = {
    "terminationGracePeriodSeconds": (("spec", "predictor", "terminationGracePeriodSeconds"), 60),
    "lifecycle": (
        ("spec", "predictor", "containers", 0, "lifecycle"),
        {"preStop": {"exec": {"command": ["sleep", "5"]}}},
    ),
}
"""What Knative decides by itself: place and value."""


@pytest.fixture(scope="module")
def mistakes(tools: Path, everything: list[Manifest]) -> dict[str, str]:
    """What the schemas say of each of `MISTAKES` and `DECIDED`, checked at once: to read the schemas takes seconds."""
    (canary,) = (
        item
        for item in of_kind(everything, "InferenceService")
        if item["metadata"].get("annotations", {}).get("serving.kserve.io/deploymentMode") == "Knative"
    )
    altered = [
        *(
            with_value(of_kind(everything, kind)[0], name, path, value)
            for name, (kind, path, value) in MISTAKES.items()
        ),
        *(with_value(canary, name, path, value) for name, (path, value) in DECIDED.items()),
    ]
    checked = check(tools, altered)
    assert checked.returncode == 1
    lines = re.findall(r"^\w+/wrong-(\S+): (.*(?:\n(?!\w+/wrong-).*)*)", checked.stderr, re.MULTILINE)
    assert len(lines) == len(altered), checked.stderr
    return dict(lines)


def with_value(document: Manifest, name: str, path: tuple[Any, ...], value: Any) -> Manifest:
    """A copy of a manifest with a name of its own and one value that is wrong."""
    copied: Manifest = yaml.safe_load(yaml.safe_dump(document))
    copied["metadata"]["name"] = f"wrong-{name}"
    place: Any = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copied


@pytest.mark.parametrize("name", MISTAKES)
def test_the_schemas_find_a_mistake(name: str, mistakes: dict[str, str]) -> None:
    assert str(MISTAKES[name][1][-1]) in mistakes[name]


@pytest.mark.parametrize("name", DECIDED)
def test_what_knative_decides_by_itself_is_reported(name: str, mistakes: dict[str, str]) -> None:
    assert name in mistakes[name]


def test_every_container_is_confined(everything: list[Manifest]) -> None:
    seen = 0
    for pod in pods(everything):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            seen += 1
            confined = container["securityContext"]
            assert confined["allowPrivilegeEscalation"] is False
            assert confined["readOnlyRootFilesystem"] is True
            assert confined["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
    assert seen == 7


def test_every_image_of_production_comes_from_the_registry_that_the_overlay_names(production: list[Manifest]) -> None:
    images = {container["image"] for pod in pods(production) for container in pod["containers"]}
    assert {image.rsplit(":", 1)[0] for image in images} == {
        f"registry.example.com/{name}" for name in ("flights", "flights-jobs", "node-exporter")
    }
    assert not [image for image in images if image.endswith(":latest")]


def test_probes_ask_for_paths_that_a_ready_server_serves(everything: list[Manifest], server: ServedPort) -> None:
    paths = set()
    for pod in pods(everything):
        for container in pod["containers"]:
            if "exporter" not in container["name"]:
                probes = (value for name, value in container.items() if name.endswith("Probe"))
                paths |= {probe["httpGet"]["path"] for probe in probes}
    assert {"/readyz", "/livez", "/v2/health/live", "/v2/models/flights/ready"} == paths
    for path in paths:
        assert server.process.process.poll() is None
        assert run("curl", "-sf", "-o", "/dev/null", "-w", "%{http_code}", server.process.url + path) == "200"


def test_a_pod_has_the_time_to_end_that_its_settings_ask_for(production: list[Manifest]) -> None:
    (deployment,) = (item for item in of_kind(production, "Deployment") if item["metadata"]["name"] == "flights")
    pod = deployment["spec"]["template"]["spec"]
    (settings,) = (
        item["data"] for item in of_kind(production, "ConfigMap") if "flights-settings" in item["metadata"]["name"]
    )
    sleep = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    needed = sleep + float(settings[f"{PREFIX}DRAIN_SECONDS"]) + float(settings[f"{PREFIX}TIMEOUT_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] > needed
    assert all(name.startswith(PREFIX) for name in settings)
    assert {name.removeprefix(PREFIX).lower() for name in settings} <= set(ServingSettings.model_fields)
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "replicas" not in deployment["spec"], "the autoscaler says how many"


def test_selectors_and_ports_meet(production: list[Manifest]) -> None:
    services = {item["metadata"]["name"]: item for item in of_kind(production, "Service")}
    templates = [item["spec"]["template"] for item in of_kind(production, "Deployment")]
    for service in services.values():
        (template,) = (one for one in templates if selects(service["spec"]["selector"], one))
        names = {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    for monitor in of_kind(production, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        watched = [item for item in services.values() if wanted.items() <= item["metadata"].get("labels", {}).items()]
        assert len(watched) == 1
        assert wanted["app.kubernetes.io/name"], "or it would scrape the services of others in its namespace too"
        ports = {port["name"] for port in watched[0]["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
    for policy in of_kind(production, "NetworkPolicy"):
        assert [one for one in templates if selects(policy["spec"]["podSelector"]["matchLabels"], one)]
    (budget,) = of_kind(production, "PodDisruptionBudget")
    assert len([one for one in templates if selects(budget["spec"]["selector"]["matchLabels"], one)]) == 1


def test_targets_have_the_labels_that_the_alerts_ask_for(production: list[Manifest]) -> None:
    for monitor in of_kind(production, "ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            made = {
                one["targetLabel"]: one.get("sourceLabels", one.get("replacement")) for one in endpoint["relabelings"]
            }
            assert set(made) == {"job", "namespace", "service"}
            assert made["namespace"] == ["__meta_kubernetes_namespace"]
            assert made["service"] == ["__meta_kubernetes_service_label_app_kubernetes_io_name"]
    services = of_kind(production, "Service")
    assert {service["metadata"]["labels"]["app.kubernetes.io/name"] for service in services} == {"flights"}


def test_claims_that_are_mounted_are_made_and_the_log_is_for_many_nodes(production: list[Manifest]) -> None:
    claims = {item["metadata"]["name"]: item["spec"] for item in of_kind(production, "PersistentVolumeClaim")}
    mounted = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods(production)
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert mounted == set(claims)
    assert all(claim["accessModes"] == ["ReadWriteMany"] for claim in claims.values())


def test_the_autoscaler_goes_by_the_processor_and_by_a_figure_that_is_exported(production: list[Manifest]) -> None:
    (scaler,) = of_kind(production, "HorizontalPodAutoscaler")
    resource, in_flight = scaler["spec"]["metrics"]
    assert resource["resource"]["name"] == "cpu"
    assert in_flight["pods"]["metric"]["name"] in {metric.exported for metric in METRICS if metric.kind == "gauge"}


def test_no_file_names_a_host_but_placeholders() -> None:
    allowed = r"registry\.example\.com|(?:[\w-]+\.)*(?:coreos\.com|k8s\.io|kserve\.io|kubernetes\.io)"
    for path in files_of(DEPLOY, "*"):
        if path.suffix in (".yaml", ".yml", ".cfg", ".sh") or path.name == "Containerfile":
            text = re.sub(allowed, "", path.read_text())
            assert not re.search(r"\b[\w-]+\.(?:com|io|org|dev|net)\b", text), path
            assert not set(re.findall(r"https?://([\w.-]+)", text)) - {"127.0.0.1", "prometheus"}, path


def check(tools: Path, documents: list[Manifest]) -> subprocess.CompletedProcess[str]:
    text = yaml.safe_dump_all(documents)
    command = [tools / "python", SCHEMAS]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def run(*command: str | Path) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def of_kind(documents: list[Manifest], kind: str) -> list[Manifest]:
    found = [document for document in documents if document["kind"] == kind]
    assert found, kind
    return found


def pods(documents: list[Manifest]) -> Iterator[Manifest]:
    """The pods that the documents make."""
    for document in documents:
        match document["kind"]:
            case "Deployment":
                yield document["spec"]["template"]["spec"]
            case "CronJob":
                yield document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            case "InferenceService":
                yield document["spec"]["predictor"]


def selects(labels: dict[str, str], template: Manifest) -> bool:
    return bool(labels.items() <= template["metadata"]["labels"].items())
