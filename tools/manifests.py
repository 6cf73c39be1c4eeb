"""Checks of deploy/k8s that need no cluster.

Each overlay renders without a word, each object fits its schema, and what schemas cannot see fits too: see the
``manifest_…`` modules. Every problem names the file, the object and what to do.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml
from kubernetes_validate.utils import SchemaNotFoundError, ValidationError, validate
from manifest_network import flow_problems
from manifest_objects import FOLDER, Document, place_of, pod_template
from manifest_pods import command_problems, hardening_problems, image_problems, presence_problems, volume_problems
from manifest_references import reference_problems
from manifest_scaling import scaled_job_problems, trigger_authentication_problems
from manifest_settings import environment_problems, pod_setting_problems

SECRETS = FOLDER / "secrets-example"
"""The keys of all Secrets: overlays name Secrets, but hold none."""
OVERLAYS = FOLDER / "overlays"
KUBERNETES = "1.34"
"""Version of the schemas: the oldest release that is still maintained."""


def problems() -> list[str]:
    """Everything that is wrong, each in one line."""
    secrets = render(SECRETS)
    if isinstance(secrets, str):
        return [f"{SECRETS.name}: {secrets}"]
    found: list[str] = []
    for overlay in sorted(OVERLAYS.iterdir()):
        documents = render(overlay)
        if isinstance(documents, str):
            found.append(f"{overlay.name}: {documents}")
            continue
        found += [f"{overlay.name}: {text}" for text in overlay_problems(documents, secrets)]
        if overlay.name == "prod":
            found += [f"{overlay.name}: {text}" for text in environment_problems(documents)]
    return found


def render(overlay: Path) -> list[Document] | str:
    """The objects of an overlay, or what kustomize says against it; a warning counts."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", overlay], capture_output=True, text=True, check=False)
    if done.returncode != 0 or done.stderr.strip():
        return done.stderr.strip()
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def overlay_problems(documents: list[Document], secrets: list[Document]) -> Iterator[str]:
    for document in documents:
        yield from (f"{place_of(document)}: {text}" for text in object_problems(document, documents, secrets))
    yield from reference_problems(documents)
    yield from presence_problems(documents)
    yield from flow_problems(documents)


def object_problems(document: Document, documents: list[Document], secrets: list[Document]) -> Iterator[str]:
    """What is wrong with one object, seen beside the others."""
    yield from schema_problems(document)
    if document["kind"] == "ScaledJob":
        yield from scaled_job_problems(document, documents)
    if document["kind"] == "TriggerAuthentication":
        yield from trigger_authentication_problems(document, secrets)
    if (template := pod_template(document)) is not None:
        yield from hardening_problems(document, template)
        yield from command_problems(template)
        yield from image_problems(template)
        yield from volume_problems(document, template, documents)
        yield from pod_setting_problems(template, [*documents, *secrets])


def schema_problems(document: Document) -> Iterator[str]:
    """Deviations from the schema; KEDA's kinds have none at hand: their own checks look at every field."""
    if document["apiVersion"] == "keda.sh/v1alpha1":
        if document["kind"] not in {"ScaledJob", "TriggerAuthentication"}:
            yield "is of a kind of KEDA that tools/manifest_scaling.py does not know: add its check there"
            return
        if document["kind"] == "TriggerAuthentication":
            return
        pod = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "probe"}}
        document = pod | {"spec": document["spec"]["jobTargetRef"]}
    if said := _deviation(json.dumps(document)):
        yield f"does not fit Kubernetes {KUBERNETES}: {said}"


@cache
def _deviation(document: str) -> str | None:
    """What the schema says against an object in JSON; overlays share most of theirs."""
    try:
        validate(json.loads(document), KUBERNETES, strict=True)
    except (ValidationError, SchemaNotFoundError) as error:
        return str(error).splitlines()[0]
    return None
