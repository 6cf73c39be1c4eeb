"""KEDA's objects. There is no schema of theirs at hand, so every field that we use is known here and no other is taken.

Source: https://keda.sh/docs/2.14/reference/scaledjob-spec/ and …/scalers/rabbitmq-queue/.
"""

from base64 import b64decode
from collections.abc import Iterator
from urllib.parse import urlsplit

from backup_engine.settings import Settings as RunnerSettings
from backup_engine.workflows.dispatch import TASK_QUEUE
from manifest_objects import Document, containers, of_kind
from manifest_settings import values_of

SPEC = {
    "jobTargetRef",
    "pollingInterval",
    "minReplicaCount",
    "maxReplicaCount",
    "successfulJobsHistoryLimit",
    "failedJobsHistoryLimit",
    "rollout",
    "scalingStrategy",
    "triggers",
}
TRIGGER = {"type", "metadata", "authenticationRef"}
METADATA = {"protocol": "http", "mode": "QueueLength", "value": "1", "excludeUnacknowledged": "true"}
"""One pod per waiting task. A message that a runner holds is not waiting, which only the management API can tell."""

MANAGEMENT_PORT = 15672


def scaled_job_problems(document: Document, documents: list[Document]) -> Iterator[str]:
    """What would start too many or too few runners, or end running backups."""
    spec = document["spec"]
    yield from (f"{name} is no field of a ScaledJob: remove it" for name in sorted(spec.keys() - SPEC))
    if spec.get("scalingStrategy", {}).get("strategy") != "accurate":
        yield "counts running pods as waiting work: set scalingStrategy.strategy: accurate"
    if spec.get("rollout", {}).get("strategy") != "gradual":
        yield "an update ends running backups: set rollout.strategy: gradual"
    if spec["jobTargetRef"].get("backoffLimit") != 0:
        yield "Kubernetes would repeat a failed pod beside the dispatcher: set jobTargetRef.backoffLimit: 0"
    (container,) = containers(spec["jobTargetRef"]["template"])
    given = values_of(container, documents)
    for setting, wanted in (("RUNNER_SLOTS", "1"), ("RUNNER_EXIT_WHEN_IDLE_SECONDS", "20")):
        if given.get(f"BACKUP_ENGINE_{setting}") != wanted:
            yield f"a pod takes one task and leaves: set BACKUP_ENGINE_{setting} to {wanted}"
    site = given.get("BACKUP_ENGINE_RUNNER_SITE", RunnerSettings.model_fields["runner_site"].default)
    if not spec.get("triggers"):
        yield "nothing starts it: add a trigger of type rabbitmq"
    for trigger in spec.get("triggers", []):
        yield from _trigger_problems(trigger, TASK_QUEUE.format(site=site), documents)


def _trigger_problems(trigger: Document, queue: str, documents: list[Document]) -> Iterator[str]:
    yield from (f"{name} is no field of a trigger: remove it" for name in sorted(trigger.keys() - TRIGGER))
    if trigger.get("type") != "rabbitmq":
        yield f"trigger {trigger.get('type')} does not know the task queue: use rabbitmq"
    metadata = trigger.get("metadata", {})
    wanted = METADATA | {"queueName": queue}
    for name in sorted(wanted.keys() | metadata.keys()):
        if name not in wanted:
            yield f"trigger metadata {name} is not known here: remove it"
        elif metadata.get(name) != wanted[name]:
            yield f"trigger metadata {name} is {metadata.get(name)!r}: the runner takes tasks by {wanted[name]!r}"
    reference = trigger.get("authenticationRef", {}).get("name")
    if reference not in of_kind(documents, "TriggerAuthentication"):
        yield f"no TriggerAuthentication is called {reference}: correct authenticationRef.name"


def trigger_authentication_problems(document: Document, secrets: list[Document]) -> Iterator[str]:
    """A key that no Secret has, or an address that is not the management API's."""
    spec = document["spec"]
    yield from (f"{name} is not known here: remove it" for name in sorted(spec.keys() - {"secretTargetRef"}))
    for target in spec.get("secretTargetRef", []):
        data = of_kind(secrets, "Secret").get(target["name"], {}).get("data", {})
        if target["key"] not in data:
            yield f"Secret {target['name']} has no key {target['key']}: add it in secrets-example"
        elif target["parameter"] == "host":
            address = urlsplit(b64decode(data[target["key"]]).decode())
            if address.scheme not in {"http", "https"} or address.port != MANAGEMENT_PORT:
                yield f"{target['key']} must be http://user:password@host:{MANAGEMENT_PORT}, the management API"
    if "host" not in {target["parameter"] for target in spec.get("secretTargetRef", [])}:
        yield "gives no host: add a secretTargetRef with parameter host"
