"""Kubernetes objects as rendered: their names, the file that they come from, their pods."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from bootstrap import ROOT

FOLDER = ROOT / "deploy" / "k8s"
POD_OWNERS = ("Deployment", "Job", "StatefulSet", "CronJob", "ScaledJob")

Document = dict[str, Any]


def name_of(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def place_of(document: Document) -> str:
    """The file in which somebody repairs the object, and its name."""
    file = _files().get(name_of(document))
    return f"{file or 'deploy/k8s'}: {name_of(document)}"


@cache
def _files() -> dict[str, str]:
    """Kind/name → file, a base's before an overlay's; of generated objects the file with their values."""
    found: dict[str, str] = {}
    for path in sorted(FOLDER.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] != "Kustomization":
                found.setdefault(name_of(document), str(path.relative_to(ROOT)))
                continue
            for kind, generators in (("ConfigMap", "configMapGenerator"), ("Secret", "secretGenerator")):
                for made in document.get(generators, []):
                    source: Path = path.parent / made["envs"][0] if "envs" in made else path
                    found.setdefault(f"{kind}/{made['name']}", str(source.relative_to(ROOT)))
    return found


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


def with_pods(documents: list[Document]) -> Iterator[tuple[Document, Document]]:
    """(object, its pod template) of all objects that make pods."""
    for document in documents:
        if (template := pod_template(document)) is not None:
            yield document, template


def of_kind(documents: list[Document], kind: str) -> dict[str, Document]:
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == kind}


def containers(template: Document) -> list[Document]:
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def labels_of(template: Document) -> dict[str, str]:
    labels: dict[str, str] = template["metadata"].get("labels", {})
    return labels


def chooses(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a selector of labels chooses a pod; only the operator In is known here."""
    for expression in selector.get("matchExpressions", []):
        if expression["operator"] != "In":
            raise NotImplementedError(f"operator {expression['operator']} in a selector")
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
