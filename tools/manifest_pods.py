"""What every pod of ours must say: its rights, its needs, its health, what it runs, where it may write."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from common.web.parts import DRAIN_SECONDS
from manifest_objects import Document, chooses, containers, labels_of, of_kind, with_pods
from manifest_settings import values_of
from part_commands import command_problem, image_of, programs

PRE_STOP_SECONDS = 5
"""What a Service's pod waits before it stops listening: endpoints are taken out of service while it still answers."""

NEEDS_SECONDS = {"api": PRE_STOP_SECONDS + DRAIN_SECONDS + 10, "worker": 30, "runner": 120}
"""From SIGTERM to SIGKILL: requests in hand finish; deliveries in hand are stored; a task is handed back, for which
its session with the host ends."""

PROBES = {"readinessProbe": "/readyz", "livenessProbe": "/healthz"}


def hardening_problems(document: Document, template: Document) -> Iterator[str]:
    """Rights, needs and health."""
    spec = template["spec"]
    context = spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "may run as root: set securityContext.runAsNonRoot: true and runAsUser"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "may make any system call: set securityContext.seccompProfile.type: RuntimeDefault"
    if spec.get("automountServiceAccountToken") is not False:
        yield "carries a token for the cluster that it does not need: set automountServiceAccountToken: false"
    for container in containers(template):
        yield from (f"container {container['name']} {text}" for text in _container_problems(container))
        if document["kind"] == "Deployment":
            yield from (f"container {container['name']} {text}" for text in _probe_problems(container))
    yield from _grace_problems(document, template)


def _container_problems(container: Document) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges: set allowPrivilegeEscalation: false"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "may write to its image: set readOnlyRootFilesystem: true"
    if context.get("capabilities", {}).get("drop") != ["ALL"] or context["capabilities"].get("add"):
        yield "keeps capabilities: set capabilities.drop: [ALL] and add none"
    resources = container.get("resources", {})
    if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
        yield "does not say what it needs: set resources.requests (cpu, memory) and limits.memory"


def _probe_problems(container: Document) -> Iterator[str]:
    ports = {port.get("name") for port in container.get("ports", [])}
    for probe, path in PROBES.items():
        asked = container.get(probe, {}).get("httpGet", {})
        if asked.get("path") != path or asked.get("port") != "ops":
            yield f"has no {probe}: let it get {path} at port ops"
        elif "ops" not in ports:
            yield f"has no port ops, which its {probe} asks: declare it"


def _grace_problems(document: Document, template: Document) -> Iterator[str]:
    if document["kind"] == "Job":
        return
    given = template["spec"].get("terminationGracePeriodSeconds", 30)
    for container in containers(template):
        part = "".join((container.get("args") or [])[1:2])
        needed = NEEDS_SECONDS.get(part, 0)
        if given < needed:
            yield f"is killed {given} s after SIGTERM: {part} needs terminationGracePeriodSeconds: {needed}"
        if part == "api":
            waits = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            if waits < PRE_STOP_SECONDS:
                yield f"stops while requests still come: set lifecycle.preStop.sleep.seconds: {PRE_STOP_SECONDS}"


def command_problems(template: Document) -> Iterator[str]:
    """Commands that the image would refuse."""
    for container in containers(template):
        if problem := command_problem(container.get("args", [])):
            yield f"container {container['name']} {problem}: correct args"


def image_problems(template: Document) -> Iterator[str]:
    """Images that do not have the command, or that change under the same name."""
    for container in containers(template):
        name, _, tag = container.get("image", "").rpartition("/")[2].partition(":")
        if tag in {"", "latest"}:
            yield f"image {container.get('image')} is not pinned: set its tag in the overlay's images, not latest"
        module = (container.get("args") or [""])[0]
        if module and name != image_of(module):
            yield f"image {name} does not have {module}: it is in {image_of(module)}"


def volume_problems(document: Document, template: Document, documents: list[Document]) -> Iterator[str]:
    """Folders of settings that are lost with the pod, and mounts of volumes that are not there."""
    volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
    for container in containers(template):
        mounts = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])}
        yield from (f"mounts {name}, which is no volume of the pod" for name in mounts.values() if name not in volumes)
        if document["kind"] == "Job":
            continue
        kept = [path for path, name in mounts.items() if "persistentVolumeClaim" in volumes.get(name, {})]
        for setting, folder in sorted(values_of(container, documents).items()):
            if setting.endswith("_FOLDER") and not any(PurePosixPath(folder).is_relative_to(path) for path in kept):
                yield f"{setting}={folder} is on no volume that outlives the pod: mount a PersistentVolumeClaim there"


def presence_problems(documents: list[Document]) -> Iterator[str]:
    """Parts, migrations, Services and budgets that a service has or needs and that are not there."""
    runs = {
        tuple(one["args"][:2]): owner
        for owner, pod in with_pods(documents)
        for one in containers(pod)
        if one.get("args")
    }
    budgets = [document["spec"]["selector"] for document in of_kind(documents, "PodDisruptionBudget").values()]
    for module, program in programs().items():
        folder = f"deploy/k8s/base/{program.name}"
        wanted = [*program.parts, *(["migrate"] if program.prefix else [])]
        yield from (
            f"{folder}: nothing runs {module} {part}: add {part}.yaml" for part in wanted if (module, part) not in runs
        )
        if program.name not in of_kind(documents, "Service"):
            yield f"{folder}: no Service is called {program.name}: add it to api.yaml"
    for document, template in with_pods(documents):
        if document["kind"] == "Deployment" and not any(chooses(one, labels_of(template)) for one in budgets):
            name = document["metadata"]["name"]
            yield f"Deployment/{name}: a node may be drained of all its pods: add a PodDisruptionBudget called {name}"
