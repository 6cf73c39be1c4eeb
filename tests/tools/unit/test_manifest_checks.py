"""The checks of deploy/ and compose find what they are there to find: each breaks one thing in what is committed.

A message names the file and the object to repair, and says how.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest

Document = dict[str, Any]
Edit = Callable[[Document], Any]


@pytest.fixture(scope="module")
def rendered() -> tuple[list[Document], list[Document]]:
    import manifests

    overlay, secrets = manifests.render(manifests.OVERLAYS / "prod"), manifests.render(manifests.SECRETS)
    assert not isinstance(overlay, str)
    assert not isinstance(secrets, str)
    return overlay, secrets


def spec(document: Document) -> Document:
    template: Document = document["spec"].get("jobTargetRef", document["spec"])["template"]
    found: Document = template["spec"]
    return found


def part(document: Document) -> Document:
    found: Document = spec(document)["containers"][0]
    return found


def trigger(document: Document) -> Document:
    found: Document = document["spec"]["triggers"][0]["metadata"]
    return found


def data(**values: str) -> Edit:
    return lambda it: it["data"].update(values)


API, WORKER, RUNNER = "Deployment/billing-api", "Deployment/billing-worker", "ScaledJob/backup-engine-runner"
API_FILE, RUNNER_FILE = "deploy/k8s/base/billing/api.yaml", "deploy/k8s/base/backup-engine/runner.yaml"

BROKEN: dict[str, tuple[str, Edit, str, str]] = {
    "a setting's name is misspelt": (
        "ConfigMap/billing", data(BILLING_HTTP_PROT="8080"), f"{API_FILE}: {API}",
        "BILLING_HTTP_PROT is no setting of billing: correct the name or remove it"),
    "a setting's value is refused": (
        "ConfigMap/tenancy", data(TENANCY_OPS_PORT="nine"), "Deployment/tenancy-api", "TENANCY_OPS_PORT=nine is refused"),
    "a secret lacks a key": (
        "Secret/tenancy", lambda it: it["data"].pop("TENANCY_SECRET_KEY"), "tenancy/api.yaml: Deployment/tenancy-api",
        "tenancy needs SECRET_KEY or TENANCY_SECRET_KEY: add it"),
    "a secret has a key that nobody reads": (
        "Secret/billing", data(BILLING_SECRET="x"), API, "BILLING_SECRET is no setting of billing"),
    "a part would be killed on purpose": (
        "ConfigMap/billing", data(BILLING_CRASH_POINTS="{}"), API, "BILLING_CRASH_POINTS kills parts on purpose"),
    "a Service selects nothing": (
        "Service/billing", lambda it: it["spec"]["selector"].update({"app.kubernetes.io/name": "x"}),
        f"{API_FILE}: Service/billing", "no pod has the labels"),
    "a Service sends to a port that no container has": (
        "Service/billing", lambda it: it["spec"]["ports"][0].update(targetPort="web"), f"{API_FILE}: Service/billing",
        "no container of billing-api has a port web: name it there or change targetPort"),
    "a service listens elsewhere than its container says": (
        "ConfigMap/billing", data(BILLING_HTTP_PORT="8081"), API, "set …_HTTP_PORT=8080"),
    "a service listens on loopback alone": (
        "ConfigMap/billing", data(BILLING_OPS_HOST="127.0.0.1"), API, "set …_OPS_HOST=0.0.0.0"),
    "the gateway is told a service that is not there": (
        "ConfigMap/gateway", data(GATEWAY_BILLING_URL="http://billing:80"), "Deployment/gateway-api",
        "GATEWAY_BILLING_URL=http://billing:80 leads to no Service"),
    "a Deployment does not choose its pods": (
        API, lambda it: it["spec"]["selector"]["matchLabels"].update({"app.kubernetes.io/component": "web"}),
        f"{API_FILE}: {API}", "does not choose its own pods"),
    "a Deployment chooses another's pods": (
        API, lambda it: it["spec"]["selector"]["matchLabels"].pop("app.kubernetes.io/component"),
        f"{API_FILE}: {API}", "add app.kubernetes.io/component"),
    "a budget counts no pods": (
        "PodDisruptionBudget/billing-api", lambda it: it["spec"]["selector"]["matchLabels"].update({"a": "b"}),
        f"{API_FILE}: PodDisruptionBudget/billing-api", "correct the selector or the pods' labels"),
    "a budget lets no node be drained": (
        "PodDisruptionBudget/billing-api", lambda it: it["spec"].update(maxUnavailable=0),
        f"{API_FILE}: PodDisruptionBudget/billing-api", "say maxUnavailable: 1"),
    "a Deployment has no budget": (
        "PodDisruptionBudget/billing-worker", lambda it: it.update(kind="Nothing", apiVersion="keda.sh/v1alpha1"),
        "Deployment/billing-worker", "add a PodDisruptionBudget called billing-worker"),
    "a field has the wrong type": (
        API, lambda it: it["spec"].update(replicas="two"), f"{API_FILE}: {API}", "does not fit Kubernetes"),
    "a field of a pod is misspelt": (
        RUNNER, lambda it: spec(it).update(restartPolice="Never"), f"{RUNNER_FILE}: {RUNNER}", "does not fit Kubernetes"),
    "a pod may run as root": (
        API, lambda it: spec(it)["securityContext"].pop("runAsNonRoot"), API, "runAsNonRoot: true"),
    "a pod may make any system call": (
        API, lambda it: spec(it)["securityContext"].pop("seccompProfile"), API, "seccompProfile.type: RuntimeDefault"),
    "a pod carries a token for the cluster": (
        RUNNER, lambda it: spec(it).pop("automountServiceAccountToken"), RUNNER, "automountServiceAccountToken: false"),
    "a container may write to its image": (
        API, lambda it: part(it)["securityContext"].update(readOnlyRootFilesystem=False), API,
        "set readOnlyRootFilesystem: true"),
    "a container keeps capabilities": (
        API, lambda it: part(it)["securityContext"]["capabilities"].update(add=["NET_RAW"]), API,
        "set capabilities.drop: [ALL] and add none"),
    "a container may gain privileges": (
        "Job/billing-migrate", lambda it: part(it)["securityContext"].pop("allowPrivilegeEscalation"),
        "billing/migrate.yaml: Job/billing-migrate", "set allowPrivilegeEscalation: false"),
    "a container does not say what it needs": (
        RUNNER, lambda it: part(it)["resources"].pop("limits"), RUNNER, "limits.memory"),
    "a container is never asked whether it is ready": (
        WORKER, lambda it: part(it).pop("readinessProbe"), WORKER, "has no readinessProbe: let it get /readyz"),
    "a probe asks a port that is not there": (
        WORKER, lambda it: part(it).pop("ports"), WORKER, "has no port ops, which its livenessProbe asks: declare it"),
    "a runner is killed before it has handed back": (
        RUNNER, lambda it: spec(it).pop("terminationGracePeriodSeconds"), f"{RUNNER_FILE}: {RUNNER}",
        "runner needs terminationGracePeriodSeconds: 120"),
    "an api stops while requests still come": (
        API, lambda it: part(it).pop("lifecycle"), API, "set lifecycle.preStop.sleep.seconds"),
    "a command does not exist": (
        WORKER, lambda it: part(it).update(args=["billing", "wroker"]), WORKER, "python -m billing wroker does not run"),
    "a part is not run": (
        WORKER, lambda it: part(it).update(args=["billing", "api"]), "deploy/k8s/base/billing",
        "nothing runs billing worker: add worker.yaml"),
    "an image is another service's": (
        WORKER, lambda it: part(it).update(image="registry.example/ebm-tenancy:1"), WORKER,
        "image ebm-tenancy does not have billing: it is in ebm-billing"),
    "an image changes under its name": (
        WORKER, lambda it: part(it).update(image="ebm-billing:latest"), WORKER, "set its tag in the overlay's images"),
    "a claim is nobody's": (
        "PersistentVolumeClaim/backup-engine-keys", lambda it: it["metadata"].update(name="other"),
        f"{RUNNER_FILE}: {RUNNER}", "no PersistentVolumeClaim is called backup-engine-keys: declare it"),
    "the keys are lost with the pod": (
        RUNNER, lambda it: part(it)["volumeMounts"].pop(2), f"{RUNNER_FILE}: {RUNNER}",
        "BACKUP_ENGINE_KMS_FOLDER=/keys/kms is on no volume that outlives the pod: mount"),
    "an update ends running backups": (
        RUNNER, lambda it: it["spec"]["rollout"].update(strategy="default"), f"{RUNNER_FILE}: {RUNNER}",
        "set rollout.strategy: gradual"),
    "running pods count as waiting work": (
        RUNNER, lambda it: it["spec"].pop("scalingStrategy"), RUNNER, "set scalingStrategy.strategy: accurate"),
    "a failed runner is repeated by Kubernetes": (
        RUNNER, lambda it: it["spec"]["jobTargetRef"].update(backoffLimit=6), RUNNER, "set jobTargetRef.backoffLimit: 0"),
    "a runner's pod stays": (
        RUNNER, lambda it: part(it)["env"].pop(1), RUNNER, "set BACKUP_ENGINE_RUNNER_EXIT_WHEN_IDLE_SECONDS to 20"),
    "runners scale on another queue than the dispatcher fills": (
        RUNNER, lambda it: trigger(it).update(queueName="tasks"), RUNNER, "the runner takes tasks by 'tasks.cloud'"),
    "runners of another site scale on this queue": (
        "ConfigMap/backup-engine", data(BACKUP_ENGINE_RUNNER_SITE="douala"), RUNNER, "'tasks.douala'"),
    "messages that a runner holds count as waiting": (
        RUNNER, lambda it: trigger(it).pop("excludeUnacknowledged"), RUNNER, "excludeUnacknowledged is None"),
    "KEDA would be told something that it does not know": (
        RUNNER, lambda it: it["spec"].update(maxReplicas=5), RUNNER, "maxReplicas is no field of a ScaledJob: remove it"),
    "KEDA's key is in no Secret": (
        "Secret/backup-engine-scaler", lambda it: it["data"].clear(), f"{RUNNER_FILE}: TriggerAuthentication/",
        "has no key RABBITMQ_MANAGEMENT_URL: add it in secrets-example"),
    "nothing is closed": (
        "NetworkPolicy/closed", lambda it: it["spec"].update(policyTypes=["Ingress"]), "deploy/k8s/base/network.yaml",
        "no NetworkPolicy closes everything: add one"),
    "the gateway reaches the database": (
        "NetworkPolicy/gateway", lambda it: it["spec"]["egress"].append(
            {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "data"}}}],
             "ports": [{"port": 5432}]}),
        "deploy/k8s", "let gateway-api talk to ns:data at port 5432: close it"),
    "the runner does not reach its hosts": (
        "NetworkPolicy/backup-engine-hosts", lambda it: it["spec"]["egress"][0]["ports"].pop(), "base/backup-engine/network",
        "lets backup-engine-runner talk to world at port 902: add a rule"),
    "a service is not let in by its own policy": (
        "NetworkPolicy/billing", lambda it: it["spec"]["ingress"].clear(), "base/gateway/network.yaml",
        "lets gateway-api talk to billing-api at port http: add a rule"),
}  # fmt: skip
"""What is broken → the object that is edited, the edit, where the message points, what it says."""


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_manifest_is_refused_with_its_place_and_a_remedy(
    what: str, rendered: tuple[list[Document], list[Document]]
) -> None:
    import manifests
    from manifest_objects import name_of

    name, edit, place, says = BROKEN[what]
    overlay, secrets = copy.deepcopy(rendered)
    edit(next(document for document in [*overlay, *secrets] if name_of(document) == name))
    found = list(manifests.overlay_problems(overlay, secrets))
    assert any(place in line and says in line for line in found), found


@pytest.mark.parametrize(
    ("name", "edit", "says"),
    [
        ("ConfigMap/everyone", data(ENVIRONMENT="development"), "ENVIRONMENT is development: set it to production"),
        ("ConfigMap/billing", data(PAYPAL_BASE_URL="http://paypal"), "PAYPAL_BASE_URL is http://paypal: remove it"),
        (API, lambda it: part(it).update(image="ebm-simulators:1"), "names a simulator: remove it"),
    ],
)
def test_production_names_no_simulator(
    name: str, edit: Edit, says: str, rendered: tuple[list[Document], list[Document]]
) -> None:
    from manifest_objects import name_of
    from manifest_settings import environment_problems

    overlay = copy.deepcopy(rendered[0])
    edit(next(document for document in overlay if name_of(document) == name))
    assert any(says in line for line in environment_problems(overlay))


def test_what_is_committed_has_no_problem() -> None:
    import manifests

    assert manifests.problems() == []


def test_a_warning_of_kustomize_is_a_problem(tmp_path: Any) -> None:
    import manifests

    (tmp_path / "kustomization.yaml").write_text("resources: []\ncommonLabels: { a: b }\n")
    said = manifests.render(tmp_path)
    assert isinstance(said, str)
    assert "commonLabels" in said


COMPOSE: dict[str, tuple[str, Edit, str]] = {
    "a setting's name is misspelt": (
        "billing-api", lambda it: it["environment"].update(BILLING_HTTP_PROT="1"), "BILLING_HTTP_PROT is no setting"),
    "a needed setting is missing": (
        "tenancy-api", lambda it: it["environment"].pop("TENANCY_SECRET_KEY"), "tenancy needs SECRET_KEY or TENANCY_SECRET_KEY: add it"),
    "a part would be killed on purpose": (
        "gateway", lambda it: it["environment"].update(GATEWAY_CRASH_POINTS="{}"), "kills parts on purpose"),
    "a command does not exist": (
        "billing-worker", lambda it: it.update(command=["billing", "work"]), "python -m billing work does not run"),
    "a simulator does not exist": ("paypal", lambda it: it.update(command=["simulators.pay"]), "no simulator is called"),
    "a part is not run": (
        "backup-engine-runner", lambda it: it.update(command=["backup_engine", "api"]), "nothing runs backup_engine runner"),
    "an image is another service's": (
        "billing-api", lambda it: it.update(image="ebm-tenancy:local"), "image ebm-tenancy does not have billing"),
    "an image changes under its name": ("postgres", lambda it: it.update(image="postgres:latest"), "is not pinned"),
    "a container keeps capabilities": ("gateway", lambda it: it.pop("cap_drop"), "keeps capabilities"),
    "a container may write to its image": ("gateway", lambda it: it.pop("read_only"), "set read_only: true"),
    "a container may take all memory": ("gateway", lambda it: it.pop("mem_limit"), "set mem_limit"),
    "a runner is killed before it has handed back": (
        "backup-engine-runner", lambda it: it.update(stop_grace_period="30s"), "runner needs stop_grace_period: 120s"),
    "a part says nothing about its health": ("tenancy-worker", lambda it: it.pop("healthcheck"), "set healthcheck"),
    "the gateway is told a port on which nobody listens": (
        "gateway", lambda it: it["environment"].update(GATEWAY_BILLING_URL="http://billing-api:80"), "is not reached"),
    "the gateway is told a service that is not there": (
        "gateway", lambda it: it["environment"].update(GATEWAY_BILLING_URL="http://bill:8080"), "leads to no service"),
    "the gateway shares no network with a service": ("gateway", lambda it: it.update(networks=["edge"]), "share a network"),
    "the keys are lost with the container": (
        "backup-engine-runner", lambda it: it.update(volumes=["vaults:/data"]), "BACKUP_ENGINE_KMS_FOLDER=/keys/kms is on no"),
    "a port is published to the network": ("gateway", lambda it: it.update(ports=["8080:8080"]), "127.0.0.1:"),
    "a service waits for one that is not there": (
        "gateway", lambda it: it["depends_on"].update(nobody={"condition": "service_started"}), "depends on nobody"),
}  # fmt: skip
"""What is broken → the service that is edited, the edit, what the message says."""


@pytest.mark.parametrize("what", COMPOSE)
def test_a_broken_compose_file_is_refused_with_its_service_and_a_remedy(what: str) -> None:
    import compose_check
    import yaml

    name, edit, says = COMPOSE[what]
    text = compose_check.FILE.read_text()
    compose = copy.deepcopy(yaml.safe_load(text))  # what anchors share is one object: the copy keeps that
    compose["services"][name] = {key: copy.deepcopy(value) for key, value in compose["services"][name].items()}
    edit(compose["services"][name])
    found = list(compose_check.problems_of(compose, text))
    assert any(says in line for line in found), found


def test_a_broker_user_with_other_rights_is_refused() -> None:
    import compose_check
    import yaml

    text = compose_check.FILE.read_text()
    compose = yaml.safe_load(text)
    content = compose["configs"]["rabbitmq-definitions"]["content"]
    compose["configs"]["rabbitmq-definitions"]["content"] = content.replace(
        '"^(events\\\\.billing|', '"^(events\\\\..+|'
    )
    assert any("permissions of billing" in line for line in compose_check.problems_of(compose, text))


def test_a_variable_that_nobody_explains_is_refused() -> None:
    import compose_check
    import yaml

    text = compose_check.FILE.read_text()
    found = list(compose_check.problems_of(yaml.safe_load(text), text + "\n# ${UNHEARD_OF}"))
    assert found == ["UNHEARD_OF is not explained in .env.example: add it there"]


def test_compose_names_only_what_is_there_and_explained() -> None:
    import compose_check

    assert compose_check.problems() == []
