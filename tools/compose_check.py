"""Checks of docker-compose.yml that need no docker: what the checks of deploy/k8s look at, where compose has it too."""

import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml
from bootstrap import ROOT
from common.messaging.rabbitmq import permissions
from manifest_pods import NEEDS_SECONDS, PRE_STOP_SECONDS
from manifest_settings import setting_problems
from part_commands import command_problem, image_of, programs

FILE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / ".env.example"
SECONDS = {"s": 1, "m": 60}

Document = dict[str, Any]


def problems() -> list[str]:
    """Everything that is wrong, each in one line."""
    return list(problems_of(yaml.safe_load(FILE.read_text()), FILE.read_text()))


def problems_of(compose: Document, text: str) -> Iterator[str]:
    """What is wrong with a file that was read.

    Args:
        compose: what it says, with ``${…}`` as written.
        text: the same as text, for the variables that it names.
    """
    services: dict[str, Document] = compose["services"]
    for name, service in services.items():
        found = [*_dependency_problems(service, services), *_exposure_problems(service, compose)]
        if "build" in service:
            found += [*_part_problems(service), *_hardening_problems(service), *_address_problems(service, services)]
        yield from (f"{name}: {text}" for text in found)
    yield from _presence_problems(services)
    yield from _broker_problems(compose)
    yield from _unexplained_variables(text)


def _part_problems(service: Document) -> Iterator[str]:
    """Commands, images, settings, and folders that are lost with the container."""
    command: list[str] = service.get("command", [])
    if problem := command_problem(command):
        yield f"{problem}: correct command"
        return
    image = service["image"].partition(":")[0]
    if image != image_of(command[0]) or f"ebm-{service['build']['args']['SERVICE']}" != image:
        yield f"image {image} does not have {command[0]}: build and name {image_of(command[0])}"
    environment = {name: _known(value) for name, value in service.get("environment", {}).items()}
    yield from setting_problems(command, environment)
    mounts = [PurePosixPath(volume.split(":")[1]) for volume in service.get("volumes", [])]
    for setting, folder in environment.items():
        if setting.endswith("_FOLDER") and not any(PurePosixPath(folder or "/").is_relative_to(one) for one in mounts):
            yield f"{setting}={folder} is on no volume: mount one there"


def _known(value: object) -> str | None:
    """A value as the part would read it; None where it is for .env to say."""
    return None if "$" in str(value) else str(value)


def _hardening_problems(service: Document) -> Iterator[str]:
    if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in service.get("security_opt", []):
        yield "keeps capabilities or may gain privileges: use the anchors part or once"
    if service.get("read_only") is not True:
        yield "may write to its image: set read_only: true"
    if "mem_limit" not in service:
        yield "may take all memory of the machine: set mem_limit"
    part = "".join(service.get("command", [])[1:2])
    grace = _seconds(service.get("stop_grace_period", "10s"))
    # Nothing is sent to a container that is told to stop: there is no time to wait before it stops listening.
    needed = NEEDS_SECONDS.get(part, 0) - (PRE_STOP_SECONDS if part == "api" else 0)
    if grace < needed:
        yield f"is killed {grace} s after SIGTERM: {part} needs stop_grace_period: {needed}s"
    if part in NEEDS_SECONDS and "/readyz" not in str(service.get("healthcheck", {}).get("test")):
        yield "says nothing about its health: set healthcheck: *ready"


def _seconds(text: str) -> int:
    return int(text[:-1]) * SECONDS[text[-1]]


def _address_problems(service: Document, services: dict[str, Document]) -> Iterator[str]:
    """URLs that lead to no service, to a port on which it does not listen, or over no common network."""
    for key, value in service.get("environment", {}).items():
        address = urlsplit(str(value)) if str(value).startswith("http://") else None
        if address is None or "$" in (address.hostname or "$"):
            continue
        other = services.get(str(address.hostname))
        if other is None:
            yield f"{key}={value} leads to no service: correct the name"
        elif str(address.port) not in _listens_on(other) or not {*service["networks"]} & {*other["networks"]}:
            yield f"{key}={value} is not reached: {address.hostname} listens on {_listens_on(other)}, share a network"


def _listens_on(service: Document) -> list[str]:
    return [str(value) for name, value in service.get("environment", {}).items() if name.endswith("_HTTP_PORT")]


def _presence_problems(services: dict[str, Document]) -> Iterator[str]:
    runs = {tuple(service.get("command", [])[:2]) for service in services.values()}
    for module, program in programs().items():
        for part in (*program.parts, *(("create-database", "migrate") if program.prefix else ())):
            if (module, part) not in runs:
                yield f"nothing runs {module} {part}: add a service {program.name}-{part}"


def _broker_problems(compose: Document) -> Iterator[str]:
    """The broker's users and what they may do must be what the code that connects expects."""
    definitions = json.loads(compose["configs"]["rabbitmq-definitions"]["content"].replace("$$", "$"))
    granted = {entry["user"]: {k: v for k, v in entry.items() if k != "user"} for entry in definitions["permissions"]}
    needed = {program.name for program in programs().values()}
    for name in sorted(needed | {user["name"] for user in definitions["users"]} | granted.keys()):
        if granted.get(name) != {"vhost": "/", **permissions(name)}:
            yield f"rabbitmq-definitions: the permissions of {name} are not those of common.messaging.rabbitmq"


def _dependency_problems(service: Document, services: dict[str, Document]) -> Iterator[str]:
    for other, wish in service.get("depends_on", {}).items():
        if other not in services:
            yield f"depends on {other}, which is not there: correct the name"
        elif wish["condition"] == "service_healthy" and "healthcheck" not in services[other]:
            yield f"waits for the health of {other}, which says nothing about it: give it a healthcheck"


def _exposure_problems(service: Document, compose: Document) -> Iterator[str]:
    for published in service.get("ports", []):
        if not str(published).startswith("127.0.0.1:"):
            yield f"publishes {published} to the network: start it with 127.0.0.1:"
    if service.get("image", "").partition(":")[2] in {"", "latest"}:
        yield f"image {service.get('image')} is not pinned: give it a tag, not latest"
    for volume in service.get("volumes", []):
        source = str(volume).partition(":")[0]
        if not source.startswith(("/", ".")) and source not in compose.get("volumes", {}):
            yield f"volume {source} is not declared: add it under volumes"
    for network in service.get("networks", []):
        if network not in compose.get("networks", {}):
            yield f"network {network} is not declared: add it under networks"


def _unexplained_variables(text: str) -> Iterator[str]:
    example = EXAMPLE.read_text()
    for variable in sorted(set(re.findall(r"\$\{([A-Z0-9_]+)", text))):
        if not re.search(rf"(?m)^#? ?{variable}=", example):
            yield f"{variable} is not explained in .env.example: add it there"
    for variable in re.findall(r"(?m)^([A-Z0-9_]+)=", example):
        if f"${{{variable}" not in text:
            yield f"{variable} of .env.example reaches no part: name it there, or remove it"
