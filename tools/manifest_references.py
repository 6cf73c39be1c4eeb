"""Names and selectors of one Kubernetes object that must lead to another: schemas do not see them."""

import json
from collections.abc import Iterator

from manifest_objects import Document, chooses, containers, labels_of, of_kind, place_of, with_pods


def reference_problems(documents: list[Document]) -> Iterator[str]:
    """Selectors, ports, claims and accounts that lead nowhere."""
    for document in documents:
        yield from (f"{place_of(document)}: {text}" for text in _selector_problems(document, documents))
    claims, accounts = of_kind(documents, "PersistentVolumeClaim"), of_kind(documents, "ServiceAccount")
    for document, template in with_pods(documents):
        for volume in template["spec"].get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim is not None and claim not in claims:
                yield f"{place_of(document)}: no PersistentVolumeClaim is called {claim}: declare it in volumes.yaml"
        account = template["spec"].get("serviceAccountName", "default")
        if account != "default" and account not in accounts:
            yield f"{place_of(document)}: no ServiceAccount is called {account}: declare it or drop the name"


def _selector_problems(document: Document, documents: list[Document]) -> Iterator[str]:
    kind, spec = document["kind"], document.get("spec", {})
    if kind == "Deployment":
        yield from _own_pods_problems(document, documents)
    elif kind == "PodDisruptionBudget":
        yield from _budget_problems(spec, documents)
    elif kind == "Service":
        yield from _service_problems(spec, documents)
    elif kind == "NetworkPolicy" and spec["podSelector"] and not _chosen(spec["podSelector"], documents):
        yield _nothing(spec["podSelector"])


def _own_pods_problems(document: Document, documents: list[Document]) -> Iterator[str]:
    selector = document["spec"]["selector"]
    chosen = [owner["metadata"]["name"] for owner, _ in _chosen(selector, documents)]
    if document["metadata"]["name"] not in chosen:
        yield f"its selector {json.dumps(selector)} does not choose its own pods: give both the same labels"
    elif len(chosen) > 1:
        yield f"its selector also chooses pods of {', '.join(chosen)}: add app.kubernetes.io/component"


def _budget_problems(spec: Document, documents: list[Document]) -> Iterator[str]:
    owners = [owner for owner, _ in _chosen(spec["selector"], documents) if owner["kind"] == "Deployment"]
    if not owners:
        yield _nothing(spec["selector"])
    for owner in owners:
        if owner["spec"]["selector"] != spec["selector"]:
            yield f"counts other pods than {owner['metadata']['name']} has: use that Deployment's selector"
    if "minAvailable" in spec or spec.get("maxUnavailable") in {0, "0%", None}:
        yield "lets no node be drained where one replica runs: say maxUnavailable: 1"


def _service_problems(spec: Document, documents: list[Document]) -> Iterator[str]:
    chosen = _chosen({"matchLabels": spec["selector"]}, documents)
    if not chosen:
        yield _nothing(spec["selector"])
    for owner, template in chosen:
        ports = {port.get("name") for one in containers(template) for port in one.get("ports", [])}
        for port in sorted({port["targetPort"] for port in spec["ports"]} - ports, key=str):
            yield f"no container of {owner['metadata']['name']} has a port {port}: name it there or change targetPort"


def _chosen(selector: Document, documents: list[Document]) -> list[tuple[Document, Document]]:
    return [(owner, pod) for owner, pod in with_pods(documents) if chooses(selector, labels_of(pod))]


def _nothing(selector: Document) -> str:
    return f"no pod has the labels {json.dumps(selector)}: correct the selector or the pods' labels"
