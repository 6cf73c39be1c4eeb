"""Who may talk to whom. The table says it once; the policies as rendered must say the same, in both directions.

Pods are ``<service>-<component>``; ``ns:<name>`` is a namespace that the cluster brings, ``world`` any address.
"""

from collections.abc import Iterable, Iterator

from manifest_objects import Document, chooses, containers, labels_of, of_kind, with_pods

Flow = tuple[str, str, str]
"""From, to, port."""

SERVICES = ("tenancy", "billing", "backup-engine")
OURS = {
    "gateway": ("api",),
    "tenancy": ("api", "worker", "migrate"),
    "billing": ("api", "worker", "migrate"),
    "backup-engine": ("api", "worker", "runner", "migrate"),
}
DATA_PORTS = ("5432", "5671", "5672")
"""PostgreSQL; RabbitMQ with and without TLS."""


def wanted() -> set[Flow]:
    """The table. A new line is a decision, not a repair."""
    pods = [f"{service}-{component}" for service, components in OURS.items() for component in components]
    with_data = [pod for pod in pods if not pod.startswith("gateway-")]
    return {
        ("ns:ingress", "gateway-api", "http"),
        *(("gateway-api", f"{service}-api", "http") for service in SERVICES),
        *((pod, "ns:data", port) for pod in with_data for port in DATA_PORTS),
        *(("gateway-api", "ns:data", port) for port in (*DATA_PORTS[1:], "6379")),
        *((pod, "ns:kube-system", port) for pod in pods for port in ("53/UDP", "53")),
        *(("ns:monitoring", pod, "ops") for pod in pods if not pod.endswith("-migrate")),
        *((f"{service}-worker", "world", "587") for service in ("tenancy", "billing")),
        *((f"billing-{component}", "world", "443") for component in ("api", "worker")),
        # Identity providers and receivers of webhooks, which customers name.
        *((f"tenancy-{component}", "world", port) for component in ("api", "worker") for port in ("443", "8443")),
        *((f"backup-engine-{part}", "world", port) for part in ("api", "worker", "runner") for port in ("443", "902")),
    }


def flow_problems(documents: list[Document]) -> Iterator[str]:
    """Flows that are open and should not be, and the other way about."""
    policies = list(of_kind(documents, "NetworkPolicy").values())
    if not any(_closes_all(policy["spec"]) for policy in policies):
        yield "deploy/k8s/base/network.yaml: no NetworkPolicy closes everything: add one with podSelector: {}, no rules"
    found = flows(documents)
    for source, target, port in sorted(found - wanted()):
        yield (
            f"deploy/k8s: NetworkPolicies let {source} talk to {target} at port {port}: "
            "close it, or add it to the table in tools/manifest_network.py"
        )
    for source, target, port in sorted(wanted() - found):
        file = f"base/{_service_of(target if source.startswith('ns:') else source)}/network.yaml"
        yield f"deploy/k8s/{file}: no NetworkPolicy lets {source} talk to {target} at port {port}: add a rule"


def _service_of(pod: str) -> str:
    return pod.rpartition("-")[0]


def _closes_all(spec: Document) -> bool:
    return spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def flows(documents: list[Document]) -> set[Flow]:
    """Everything that the policies allow: between two pods both must."""
    pods = {_name(template): template for _, template in with_pods(documents)}
    policies = [document["spec"] for document in of_kind(documents, "NetworkPolicy").values()]
    out: set[Flow] = set()
    into: set[Flow] = set()
    for name, template in pods.items():
        for policy in policies:
            if chooses(policy["podSelector"], labels_of(template)):
                out |= {(name, *end) for end in _ends(policy.get("egress", []), "to", pods, None)}
                into |= {(peer, name, port) for peer, port in _ends(policy.get("ingress", []), "from", pods, template)}
    between = {flow for flow in out & into if flow[0] in pods and flow[1] in pods}
    return between | {flow for flow in out if flow[1] not in pods} | {flow for flow in into if flow[0] not in pods}


def _name(template: Document) -> str:
    labels = labels_of(template)
    return f"{labels['app.kubernetes.io/name']}-{labels['app.kubernetes.io/component']}"


def _ends(
    rules: list[Document], peers: str, pods: dict[str, Document], owner: Document | None
) -> Iterator[tuple[str, str]]:
    """(peer, port) of rules; ports of a pod that has no such port are no way in."""
    for rule in rules:
        for peer in _peers(rule.get(peers, [{}]), pods):
            listening = owner or pods.get(peer)
            for port in _ports(rule.get("ports"), listening):
                yield peer, port


def _peers(listed: Iterable[Document], pods: dict[str, Document]) -> Iterator[str]:
    for peer in listed:
        if "namespaceSelector" in peer:
            names = peer["namespaceSelector"].get("matchLabels", {})
            yield f"ns:{names.get('kubernetes.io/metadata.name', 'any')}"
        elif "podSelector" in peer:
            yield from (name for name, pod in pods.items() if chooses(peer["podSelector"], labels_of(pod)))
        else:
            yield "world"


def _ports(listed: list[Document] | None, pod: Document | None) -> Iterator[str]:
    if listed is None:
        yield "any"
        return
    open_ports = [port for one in containers(pod) for port in one.get("ports", [])] if pod else []
    for port in listed:
        named = str(port["port"]) + ("/UDP" if port.get("protocol") == "UDP" else "")
        if pod is None:
            yield named
        else:
            yield from (one["name"] for one in open_ports if port["port"] in {one.get("name"), one["containerPort"]})
