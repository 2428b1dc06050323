"""Every setting, path and metric that deploy/ and the pages of operations and metrics name exists in the service."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mongomock
import pytest
import yaml

from customer_service.app import create_app
from customer_service.cli import main
from customer_service.fiscal.retention import WESTERNMOST
from customer_service.observability.metrics import BOUNDS
from customer_service.server.limits import MAXIMUM_BUFFERED_BYTES, MAXIMUM_IN_FLIGHT
from customer_service.settings import CacheSettings, JwtSettings, MongoSettings, ServerSettings, Settings
from customer_service.web.long_polling import MAXIMUM_WAIT_SECONDS
from customer_service.web.openapi import path_template
from tests.contract.test_deployment import SETTINGS, last
from tests.support import url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

ROOT = Path(__file__).parents[2]
RUNBOOK = "docs/how-to/deploy-and-operate.md"
RUNBOOKS = "{{ $externalLabels.customer_service_runbooks }}"
"""The variable of Prometheus that has the absolute URL of the page."""

PODS = ("Deployment", "Job", "Check", "CronJob")
OPERATIONS = (ROOT / RUNBOOK).read_text()
METRICS = (ROOT / "docs/reference/metrics.md").read_text()
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())["groups"]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
METRIC = re.compile(r"\b(?:customer_service|process)_\w+")
SERVER_MEGABYTES = int(re.findall(r"two workers was measured to take (\d+) MB", OPERATIONS)[0])
SCRAPED = {"job", "instance"}
"""The labels that Prometheus adds."""


@pytest.fixture(scope="module")
def app() -> Flask:
    """The service with every optional metric enabled, after a request."""
    jwt = JwtSettings(jwks_url="http://127.0.0.1:1/none")
    configured = Settings(MongoSettings("mongomock://"), jwt, ServerSettings(), CacheSettings(customer_entries=1))
    made = create_app(configured, mongomock.MongoClient().customer_service)
    made.test_client().get(url())
    return made


@pytest.fixture(scope="module")
def scrape(app: Flask) -> str:
    return app.test_client().get("/metrics").text


def alerts() -> list[dict[str, Any]]:
    return [rule for group in ALERTS for rule in group["rules"]]


def queries() -> Iterator[str]:
    """Yield every query of the rules, the dashboard and the page."""
    yield from (rule["expr"] for rule in alerts())
    yield from (target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    yield from (
        variable["query"]["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"
    )


def kubernetes() -> dict[str, Any]:
    """Return every manifest by its kind, of which there is one, but for the job that checks."""
    paths = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
    manifests = [manifest for path in paths for manifest in yaml.safe_load_all(path.read_text())]
    by_kind = {key(manifest): manifest for manifest in manifests}
    assert len(by_kind) == len(manifests)
    return by_kind


def key(manifest: dict[str, Any]) -> str:
    kind: str = manifest["kind"]
    is_check = kind == "Job" and manifest["metadata"]["name"].endswith("-check")
    return "Check" if is_check else kind


def pod_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the template of the pods of a manifest."""
    spec = manifest["spec"]
    template: dict[str, Any] = spec["jobTemplate"]["spec"]["template"] if "jobTemplate" in spec else spec["template"]
    return template


def test_every_metric_that_is_asked_for_is_served(scrape: str) -> None:
    served = set(METRIC.findall(scrape))
    asked = {name for query in queries() for name in METRIC.findall(query)}
    assert len(asked) >= 10
    assert asked <= served


def test_every_metric_is_watched_and_explained(scrape: str) -> None:
    served = set(re.findall(r"^# TYPE (customer_service_\w+)", scrape, re.MULTILINE))
    shown = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    for name in served:
        assert name in shown
        assert f"| `{name}` |" in METRICS
    for name in re.findall(r"^# TYPE (process_\w+)", scrape, re.MULTILINE):
        assert f"| `{name}` |" in METRICS


def test_every_label_that_is_asked_for_is_served(scrape: str) -> None:
    served = set(re.findall(r'[{,](\w+)="', scrape)) | SCRAPED
    asked = {label for query in queries() for label in re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query)}
    assert {"status", "route", "method"} <= asked
    assert asked <= served
    for query in queries():
        for grouping in re.findall(r"(?:by|ignoring) \(([^)]*)\)", query):
            assert set(grouping.split(", ")) <= served, query


def test_the_routes_and_bounds_that_are_named_exist(app: Flask) -> None:
    rules = {path_template(rule.rule) for rule in app.url_map.iter_rules()}
    named = {route for query in queries() for route in re.findall(r'route(?:!?=)"([^"]+)"', query)}
    assert named
    assert named <= rules
    for bound in re.findall(
        r"histogram_quantile.*> ([0-9.]+)$", "\n".join(rule["expr"] for rule in alerts()), re.MULTILINE
    ):
        assert float(bound) in BOUNDS  # between two bounds a quantile is a guess


def test_the_dashboard_and_the_alert_know_how_many_requests_a_worker_answers() -> None:
    shown = next(panel for panel in DASHBOARD["panels"] if panel["title"] == "In flight")["targets"][1]["expr"]
    assert shown.startswith(f"{MAXIMUM_IN_FLIGHT} * ")
    full = next(rule["expr"] for rule in alerts() if rule["alert"] == "CustomerServiceFull")
    assert int(full.rsplit(" ", 1)[1]) < MAXIMUM_IN_FLIGHT


def test_every_alert_is_explained() -> None:
    headings = set(re.findall(r"^### (\w+)$", OPERATIONS, re.MULTILINE))
    assert {rule["alert"] for rule in alerts()} == headings
    for rule in alerts():
        assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["for"]


def test_the_dashboards_panels_do_not_overlap() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
    assert {
        name for query in queries() for name in re.findall(r"\$(\w+)", query) if "{{" not in name
    } - variables == set()


def test_the_pages_links_lead_somewhere() -> None:
    for path in re.findall(r"\]\(([^)#:]+)\)", OPERATIONS):
        assert ((ROOT / RUNBOOK).parent / path).exists(), path


class TestKubernetes:
    """Manifests that fit one another, the image and the service."""

    manifests = kubernetes()
    pod = manifests["Deployment"]["spec"]["template"]
    container = pod["spec"]["containers"][0]
    job = manifests["Job"]["spec"]["template"]["spec"]["containers"][0]

    def environment(self) -> dict[str, str]:
        return {each["name"]: each.get("value", "") for each in self.container["env"]}

    def test_what_there_is(self) -> None:
        assert set(self.manifests) == {
            *("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"),
            *("Job", "Check", "CronJob"),
            *("Ingress", "NetworkPolicy", "ServiceMonitor", "Kustomization"),
        }

    def test_their_settings_exist_and_start_the_service(self) -> None:
        names = [each["name"] for container in (self.container, self.job) for each in container["env"]]
        assert set(names) <= SETTINGS
        given = {"MONGODB_URI": "mongodb://x", "JWT_JWKS_URL": "https://issuer.example/keys"}
        given |= {"JWT_ISSUER": "https://issuer.example", "JWT_AUDIENCE": "customers"}
        read = Settings.from_environment({**self.environment(), **given})
        assert read.server.port == ServerSettings().port
        for name in given:
            entry = next(each for each in self.container["env"] if each["name"] == name)
            assert entry["valueFrom"]["secretKeyRef"] == {"name": "customer-service", "key": name}

    def test_kubernetes_sets_no_variables_that_look_like_settings(self) -> None:
        pods = [pod_of(self.manifests[kind])["spec"] for kind in PODS]
        assert not any(pod["enableServiceLinks"] for pod in pods)

    def test_its_ports_are_the_services(self) -> None:
        port = str(ServerSettings().port)
        assert [(each["name"], str(each["containerPort"])) for each in self.container["ports"]] == [("http", port)]
        assert self.pod["metadata"]["annotations"]["prometheus.io/port"] == port == last("EXPOSE")
        assert {each["targetPort"] for each in self.manifests["Service"]["spec"]["ports"]} == {"http"}

    def test_its_probes_ask_routes_that_exist(self, app: Flask) -> None:
        rules = {path_template(rule.rule) for rule in app.url_map.iter_rules()}
        probes = {name: self.container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
        assert {name: probe["path"] for name, probe in probes.items()} == {
            "startup": "/livez",
            "liveness": "/livez",
            "readiness": "/readyz",
        }
        assert {probe["port"] for probe in probes.values()} == {"http"}
        assert {*(probe["path"] for probe in probes.values()), "/metrics"} <= rules
        assert self.pod["metadata"]["annotations"]["prometheus.io/path"] == "/metrics"

    def test_it_is_given_the_time_to_leave(self) -> None:
        (command, pause) = self.container["lifecycle"]["preStop"]["exec"]["command"]
        assert command == "sleep"
        needed = int(pause) + float(self.environment()["DRAIN_SECONDS"]) + 8
        assert self.pod["spec"]["terminationGracePeriodSeconds"] > needed

    def test_each_is_of_the_same_pods(self) -> None:
        labels = self.pod["metadata"]["labels"]
        assert self.manifests["Deployment"]["spec"]["selector"]["matchLabels"] == labels
        assert self.manifests["Service"]["spec"]["selector"] == labels
        assert self.manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
        scaled = self.manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
        assert scaled["name"] == self.manifests["Deployment"]["metadata"]["name"]
        assert "replicas" not in self.manifests["Deployment"]["spec"]
        assert self.container["resources"]["requests"]["cpu"]  # what a utilization is a share of

    def test_a_pod_may_leave_at_any_time(self) -> None:
        budget = self.manifests["PodDisruptionBudget"]["spec"]["maxUnavailable"]
        assert 1 <= budget < self.manifests["HorizontalPodAutoscaler"]["spec"]["minReplicas"]
        assert self.manifests["PodDisruptionBudget"]["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"

    def test_its_pods_are_spread(self) -> None:
        spread = self.pod["spec"]["topologySpreadConstraints"]
        assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        assert all(each["labelSelector"]["matchLabels"] == self.pod["metadata"]["labels"] for each in spread)

    @pytest.mark.parametrize("kind", PODS)
    def test_it_says_what_it_needs_and_has_room_for_it(self, kind: str) -> None:
        (container,) = pod_of(self.manifests[kind])["spec"]["containers"]
        needed, most = (container["resources"][which]["memory"] for which in ("requests", "limits"))
        assert int(most.removesuffix("Mi")) >= 2 * int(needed.removesuffix("Mi"))
        assert set(container["resources"]["limits"]) == {"memory"}  # a limit of the processor would stall requests

    def test_what_arrives_and_what_is_shared_fits_into_its_memory(self) -> None:
        most = int(self.container["resources"]["limits"]["memory"].removesuffix("Mi"))
        volumes = sum(int(each["emptyDir"]["sizeLimit"].removesuffix("Mi")) for each in self.pod["spec"]["volumes"])
        workers = int(self.environment()["WEB_CONCURRENCY"])
        assert most > SERVER_MEGABYTES + workers * MAXIMUM_BUFFERED_BYTES / 1_000_000 + volumes

    @pytest.mark.parametrize("kind", PODS)
    def test_it_may_do_nothing_but_serve(self, kind: str) -> None:
        spec = pod_of(self.manifests[kind])["spec"]
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert str(spec["securityContext"]["runAsUser"]) == last("USER")
        assert spec["automountServiceAccountToken"] is False
        assert container["image"] == "customer-service"

    def test_what_it_writes_is_memory(self) -> None:
        mounts = {each["name"]: each["mountPath"] for each in self.container["volumeMounts"]}
        assert sorted(mounts.values()) == ["/dev/shm", "/tmp"]  # noqa: S108 - what the pod mounts
        assert all(each["emptyDir"]["medium"] == "Memory" for each in self.pod["spec"]["volumes"])

    def test_the_job_makes_the_indexes(self) -> None:
        program, subcommand = self.job["command"]
        assert program == "customer-service"
        assert subcommand in main.command.commands

    def test_the_other_job_checks_with_the_settings_of_the_service(self) -> None:
        (container,) = self.manifests["Check"]["spec"]["template"]["spec"]["containers"]
        program, subcommand = container["command"]
        assert (program, subcommand in main.command.commands) == ("customer-service", True)
        assert container["envFrom"] == [{"secretRef": {"name": "customer-service"}}]

    def test_the_job_of_each_day_erases_after_the_day_has_ended_in_all_of_mexico(self) -> None:
        spec = self.manifests["CronJob"]["spec"]
        (container,) = pod_of(self.manifests["CronJob"])["spec"]["containers"]
        program, subcommand = container["command"]
        assert (program, subcommand in main.command.commands) == ("customer-service", True)
        assert {each["name"] for each in container["env"]} <= SETTINGS
        minute, hour, *every_day = spec["schedule"].split()
        assert (every_day, spec["timeZone"], spec["concurrencyPolicy"]) == (["*"] * 3, "Etc/UTC", "Forbid")
        assert timedelta(hours=int(hour), minutes=int(minute)) > -(WESTERNMOST.utcoffset(None))

    def test_no_job_is_sent_requests(self) -> None:
        selector = self.manifests["Service"]["spec"]["selector"]
        for kind in ("Job", "Check", "CronJob"):
            labels = pod_of(self.manifests[kind])["metadata"]["labels"]
            assert not selector.items() <= labels.items()
            assert labels == self.manifests[kind]["metadata"]["labels"]
            (label,) = labels.values()
            assert f"app.kubernetes.io/component={label}" in OPERATIONS

    def test_the_kustomization_has_every_manifest_and_sets_image_and_host(self) -> None:
        kustomization = self.manifests["Kustomization"]
        files = {path.name for path in (ROOT / "deploy/kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
        assert {*kustomization["resources"], "service-monitor.yaml"} == files
        images = {pod_of(self.manifests[kind])["spec"]["containers"][0]["image"] for kind in PODS}
        assert images == {image["name"] for image in kustomization["images"]}
        (rule,) = self.manifests["Ingress"]["spec"]["rules"]
        (tls,) = self.manifests["Ingress"]["spec"]["tls"]
        assert (rule["host"], tls["hosts"]) == ("HOST", ["HOST"])  # refused by Kubernetes, if it is not replaced
        (change,) = yaml.safe_load(kustomization["patches"][0]["patch"])
        assert (change["op"], change["path"]) == ("replace", "/spec/rules/0/host")
        assert kustomization["replacements"][0]["targets"][0]["fieldPaths"] == ["spec.tls.0.hosts.0"]

    @pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")
    def test_kubectl_builds_it(self) -> None:
        command = ["kubectl", "kustomize", str(ROOT / "deploy/kubernetes")]
        built = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        manifests = list(yaml.safe_load_all(built))
        assert len(manifests) == len(self.manifests["Kustomization"]["resources"])
        assert "HOST" not in built
        assert built.count("image: registry.example/customer-service:1") == len(PODS)

    def test_the_outside_may_ask_what_is_documented_and_no_probe(self, app: Flask) -> None:
        paths = {path["path"] for path in self.manifests["Ingress"]["spec"]["rules"][0]["http"]["paths"]}
        inside = {"/", "/livez", "/readyz", "/metrics"}
        rules = {rule.rule for rule in app.url_map.iter_rules()} - inside
        assert all(any(rule.startswith(path) for path in paths) for rule in rules)
        assert {f"/api{path}" for path in paths if not path.startswith("/api")} < paths
        assert not any(probe.startswith(path) for path in paths for probe in inside)

    def test_the_ingress_waits_for_the_change_feed(self) -> None:
        annotations = self.manifests["Ingress"]["metadata"]["annotations"]
        assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) > MAXIMUM_WAIT_SECONDS + 2

    def test_it_is_scraped_and_connected_to_by_its_ports_name(self) -> None:
        (endpoint,) = self.manifests["ServiceMonitor"]["spec"]["endpoints"]
        (port,) = self.manifests["Service"]["spec"]["ports"]
        assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
        labels = self.manifests["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
        assert labels.items() <= self.manifests["Service"]["metadata"]["labels"].items()
        policy = self.manifests["NetworkPolicy"]["spec"]
        assert policy["podSelector"]["matchLabels"] == self.pod["metadata"]["labels"]
        assert [each["port"] for rule in policy["ingress"] for each in rule["ports"]] == ["http"]
        assert {each["port"] for rule in policy["egress"] for each in rule["ports"]} == {53, 443, 4318, 27017}


class TestSystemd:
    """The unit for one machine."""

    unit = configparser.RawConfigParser(strict=False)
    unit.read(ROOT / "deploy/systemd/customer-service.service")

    def test_it_starts_the_service(self) -> None:
        program, subcommand = self.unit["Service"]["ExecStart"].split()
        assert Path(program).name == "customer-service"
        assert subcommand in main.command.commands
        assert Path(program).parent.as_posix() in OPERATIONS

    def test_it_is_given_the_time_to_drain(self) -> None:
        assert int(self.unit["Service"]["TimeoutStopSec"]) > ServerSettings().drain_seconds + 9
        assert self.unit["Service"]["KillMode"] == "mixed"
