"""Checks of docker-compose.yml that need no docker."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml
from bootstrap import ROOT
from common.messaging.rabbitmq import permissions
from manifest_settings import setting_problems

FILE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / ".env.example"

Document = dict[str, Any]


def problems() -> Iterator[str]:
    compose: Document = yaml.safe_load(FILE.read_text())
    services: dict[str, Document] = compose["services"]
    volumes = set(compose.get("volumes", {}))
    for name, service in services.items():
        environment = set(service.get("environment", {}))
        found = [
            *setting_problems(service.get("command", []), environment),
            *_dependency_problems(service, services),
            *_exposure_problems(service, volumes),
        ]
        yield from (f"{name}: {text}" for text in found)
    yield from _broker_problems(compose)
    yield from _unexplained_variables()


def _broker_problems(compose: Document) -> Iterator[str]:
    """The broker's users and what they may do must be what the code that connects expects."""
    definitions = json.loads(compose["configs"]["rabbitmq-definitions"]["content"].replace("$$", "$"))
    users = {user["name"] for user in definitions["users"]}
    granted = {entry.pop("user"): entry for entry in definitions["permissions"]}
    for name in sorted(users | set(granted)):
        if granted.get(name) != {"vhost": "/", **permissions(name)}:
            yield f"rabbitmq-definitions: the permissions of {name} are not those of common.messaging.rabbitmq"


def _dependency_problems(service: Document, services: dict[str, Document]) -> Iterator[str]:
    for other, wish in service.get("depends_on", {}).items():
        if other not in services:
            yield f"depends on {other}, which is not there"
        elif wish["condition"] == "service_healthy" and "healthcheck" not in services[other]:
            yield f"waits for the health of {other}, which says nothing about it"


def _exposure_problems(service: Document, volumes: set[str]) -> Iterator[str]:
    for published in service.get("ports", []):
        if not str(published).startswith("127.0.0.1:"):
            yield f"publishes {published} to the network"
    if "image" in service and "build" not in service and ":" not in service["image"]:
        yield f"does not pin {service['image']}"
    for volume in service.get("volumes", []):
        source = str(volume).partition(":")[0]
        if not source.startswith(("/", ".")) and source not in volumes:
            yield f"volume {source} is not declared"


def _unexplained_variables() -> Iterator[str]:
    example = EXAMPLE.read_text()
    for variable in sorted(set(re.findall(r"\$\{([A-Z0-9_]+)", FILE.read_text()))):
        if not re.search(rf"(?m)^#? ?{variable}=", example):
            yield f"{variable} is not explained in .env.example"
