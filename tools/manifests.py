"""Checks of deploy/k8s that need no cluster.

Each overlay renders, each object fits its schema, objects fit each other (selectors, ports, names), and every variable
is a setting that its service knows, with none missing that it must have.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from bootstrap import ROOT
from kubernetes_validate.utils import SchemaNotFoundError, ValidationError, validate
from manifest_settings import setting_problems

SECRETS = ROOT / "deploy" / "k8s" / "secrets-example"
"""The keys of all Secrets: overlays name Secrets, but hold none."""
OVERLAYS = ROOT / "deploy" / "k8s" / "overlays"
KUBERNETES = "1.34"
"""Version of the schemas: the oldest release that is still maintained."""
POD_OWNERS = ("Deployment", "Job", "StatefulSet", "CronJob", "ScaledJob")

Document = dict[str, Any]


def problems() -> list[str]:
    """Everything that is wrong, each in one line."""
    found: list[str] = []
    secrets = render(SECRETS)
    if isinstance(secrets, str):
        return [f"{SECRETS.name}: {secrets}"]
    for overlay in sorted(OVERLAYS.iterdir()):
        documents = render(overlay)
        if isinstance(documents, str):
            found.append(f"{overlay.name}: {documents}")
            continue
        found += [f"{overlay.name}: {text}" for text in overlay_problems(documents, secrets)]
    return found


def render(overlay: Path) -> list[Document] | str:
    """The objects of an overlay, or what kustomize says against it."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", overlay], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stderr.strip()
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def overlay_problems(documents: list[Document], secrets: list[Document]) -> Iterator[str]:
    for document in documents:
        yield from (f"{name_of(document)}: {text}" for text in schema_problems(document))
    yield from reference_problems(documents)
    for document in documents:
        if (template := pod_template(document)) is not None:
            yield from (f"{name_of(document)}: {text}" for text in hardening_problems(document, template))
            yield from (
                f"{name_of(document)}: {text}" for text in pod_setting_problems(template, [*documents, *secrets])
            )


def name_of(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def schema_problems(document: Document) -> Iterator[str]:
    """Deviations from the schema; for KEDA's kinds, whose schema is not at hand, from what its manual demands."""
    group = document["apiVersion"].partition("/")[0]
    if group != "keda.sh":
        try:
            validate(document, KUBERNETES, strict=True)
        except (ValidationError, SchemaNotFoundError) as error:
            yield str(error).splitlines()[0]
        return
    if document["kind"] == "ScaledJob":
        yield from scaled_job_problems(document["spec"])
    elif document["kind"] != "TriggerAuthentication":
        yield "is of a kind of KEDA that this check does not know"


def scaled_job_problems(spec: Document) -> Iterator[str]:
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "probe"}, "spec": spec["jobTargetRef"]}
    yield from schema_problems(job)
    if not spec.get("triggers"):
        yield "has no trigger"
    for trigger in spec.get("triggers", []):
        wrong = {name for name, value in trigger["metadata"].items() if not isinstance(value, str)}
        yield from (f"trigger metadata {name} is not text" for name in sorted(wrong))
    strategies = (spec.get("scalingStrategy", {}).get("strategy"), spec.get("rollout", {}).get("strategy"))
    if strategies != ("accurate", "gradual"):
        yield "must count with strategy accurate and roll out gradually, or an update ends running backups"


def pod_template(document: Document) -> Document | None:
    """The pod template of an object that makes pods."""
    if document["kind"] not in POD_OWNERS:
        return None
    spec = document["spec"]
    if document["kind"] == "ScaledJob":
        spec = spec["jobTargetRef"]
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template: Document = spec["template"]
    return template


def containers(template: Document) -> list[Document]:
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def reference_problems(documents: list[Document]) -> Iterator[str]:
    """Names and selectors that lead nowhere: schemas do not see them."""
    templates = [template for document in documents if (template := pod_template(document)) is not None]
    for document in documents:
        yield from (f"{name_of(document)}: {text}" for text in selector_problems(document, templates))
    claims = {document["metadata"]["name"] for document in documents if document["kind"] == "PersistentVolumeClaim"}
    volumes = [volume for template in templates for volume in template["spec"].get("volumes", [])]
    wanted = {volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume}
    yield from (f"no PersistentVolumeClaim is called {claim}" for claim in sorted(wanted - claims))
    accounts = {template["spec"].get("serviceAccountName", "default") for template in templates} - {"default"}
    known = {document["metadata"]["name"] for document in documents if document["kind"] == "ServiceAccount"}
    yield from (f"no ServiceAccount is called {account}" for account in sorted(accounts - known))


def selector_problems(document: Document, templates: list[Document]) -> Iterator[str]:
    """Selectors of one object that choose no pod, ports of a Service that its pods do not have."""
    kind, spec = document["kind"], document.get("spec", {})
    selectors: list[dict[str, str]] = []
    if kind in {"PodDisruptionBudget", "Deployment"}:
        selectors = [spec["selector"]["matchLabels"]]
    elif kind == "NetworkPolicy":
        selectors = [selector for selector in selectors_in(spec) if selector]
    elif kind == "Service":
        selectors = [spec["selector"]]
        chosen = pods_with(spec["selector"], templates)
        ports = {port.get("name") for pod in chosen for one in containers(pod) for port in one.get("ports", [])}
        missing = {port["targetPort"] for port in spec["ports"]} - ports if chosen else set()
        yield from (f"no container has a port {port}" for port in sorted(missing))
    for selector in selectors:
        if not pods_with(selector, templates):
            yield f"no pod has the labels {json.dumps(selector)}"


def pods_with(selector: dict[str, str], templates: list[Document]) -> list[Document]:
    return [template for template in templates if selector.items() <= template["metadata"]["labels"].items()]


def selectors_in(node: Any) -> Iterator[dict[str, str]]:
    """The pod selectors of a network policy that mean pods of this namespace."""
    if isinstance(node, dict):
        if "podSelector" in node and "namespaceSelector" not in node:
            yield node["podSelector"].get("matchLabels", {})
        for value in node.values():
            yield from selectors_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from selectors_in(value)


def hardening_problems(document: Document, template: Document) -> Iterator[str]:
    """What every pod of ours must say about its rights, its needs and its health."""
    spec = template["spec"]
    if not spec.get("securityContext", {}).get("runAsNonRoot"):
        yield "may run as root"
    if spec.get("automountServiceAccountToken") is not False:
        yield "carries a token for the cluster that it does not need"
    for container in containers(template):
        context = container.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False or context.get("readOnlyRootFilesystem") is not True:
            yield f"{container['name']} may gain privileges or write to its image"
        if context.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{container['name']} keeps capabilities"
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
            yield f"{container['name']} does not say what it needs"
        if document["kind"] == "Deployment" and not {"readinessProbe", "livenessProbe"} <= container.keys():
            yield f"{container['name']} has no probes"


def pod_setting_problems(template: Document, documents: list[Document]) -> Iterator[str]:
    """Variables of a pod that its service does not know, settings that it needs and does not get, sources not there."""
    by_name = {(document["kind"], document["metadata"]["name"]): document for document in documents}
    for container in containers(template):
        given: set[str] = {entry["name"] for entry in container.get("env", [])}
        for entry in container.get("env", []):
            for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                wanted = entry.get("valueFrom", {}).get(key)
                if wanted is not None and wanted["key"] not in keys_of(by_name, kind, wanted["name"]):
                    yield f"{entry['name']}: {kind} {wanted['name']} has no key {wanted['key']}"
        for source in container.get("envFrom", []):
            kind, key = ("ConfigMap", "configMapRef") if "configMapRef" in source else ("Secret", "secretRef")
            keys = keys_of(by_name, kind, source[key]["name"])
            if not keys:
                yield f"{kind} {source[key]['name']} is not there or empty"
            given |= keys
        yield from setting_problems(container.get("args", []), given)


def keys_of(by_name: dict[tuple[str, str], Document], kind: str, name: str) -> set[str]:
    document = by_name.get((kind, name), {})
    return {*document.get("data", {}), *document.get("stringData", {})}
