"""Compares the environment that a manifest gives with the settings that a service reads."""

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from manifest_objects import Document, containers, of_kind, with_pods
from part_commands import programs
from pydantic import AliasChoices, ValidationError
from pydantic_settings import SettingsError

NOT_SETTINGS = re.compile(r"^(OTEL_|PYTHON|TZ$)")
"""Variables that libraries, not our settings, read."""

PRODUCTION: dict[str, str | None] = {
    "ENVIRONMENT": "production",
    "PAYPAL_MODE": "live",
    "MTN_MOMO_ENVIRONMENT": "production",
    "PAYPAL_BASE_URL": None,
    "MTN_MOMO_BASE_URL": None,
    "BACKUP_ENGINE_ESXI_ALLOW_LOOPBACK": None,
    "TENANCY_SSO_ALLOW_LOOPBACK": None,
    "TENANCY_WEBHOOK_ALLOW_LOOPBACK": None,
}
"""What prod must say; None: what it must not name, because only simulators need it."""


def setting_problems(command: list[str], given: Mapping[str, str | None]) -> Iterator[str]:
    """Compare variables with the settings of the service that a command (`billing api`) runs.

    Args:
        command: what the part is started with.
        given: its variables; None where only the name is known, as of a Secret's.
    """
    service = command[0] if command else ""
    if service not in programs():
        return
    known, needed = settings_of(service)
    for name in sorted(given):
        if name.endswith("_CRASH_POINTS"):
            yield f"{name} kills parts on purpose: it is for tests alone, remove it"
        elif name not in known and not NOT_SETTINGS.match(name):
            yield f"{name} is no setting of {service}: correct the name or remove it"
    for names in needed:
        if not names & given.keys():
            yield f"{service} needs {' or '.join(sorted(names))}: add it to its ConfigMap or Secret"
    yield from _value_problems(service, frozenset((name, value) for name, value in given.items() if value is not None))


@cache
def _value_problems(service: str, given: frozenset[tuple[str, str]]) -> list[str]:
    """Values that the service would refuse; what only a Secret knows cannot be judged here."""
    settings = programs()[service].settings
    values, prefix = dict(given), settings.model_config.get("env_prefix", "")
    try:
        with patch.dict(os.environ, values, clear=True):
            settings()
    except ValidationError as wrong:
        names = [("_".join(str(part) for part in error["loc"][:1]), error["msg"]) for error in wrong.errors()]
        refused = [(name if name.isupper() else f"{prefix}{name}".upper(), said) for name, said in names]
        return [f"{name}={values[name]} is refused: {said}" for name, said in refused if name in values]
    except SettingsError as wrong:
        return [f"{wrong}: write it as JSON"]
    return []


@cache
def settings_of(service: str) -> tuple[set[str], list[set[str]]]:
    """All variables that a service reads, and for each setting without a default the variables that give it."""
    settings = programs()[service].settings
    prefix = str(settings.model_config.get("env_prefix", ""))
    known: set[str] = set()
    needed: list[set[str]] = []
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        choices = [str(part) for part in alias.choices] if isinstance(alias, AliasChoices) else [alias or name]
        # A setting with an alias is read by the alias alone, one without by prefix and name.
        names = {str(part).upper() for part in choices} if alias else {f"{prefix}{name}".upper()}
        known |= names
        if field.is_required():
            needed.append(names)
    return known, needed


def pod_setting_problems(template: Document, documents: list[Document]) -> Iterator[str]:
    """Variables of a pod that its service does not know, settings that it needs and does not get, sources not there."""
    for container in containers(template):
        for entry in container.get("env", []):
            for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                wanted = entry.get("valueFrom", {}).get(key)
                if wanted is not None and wanted["key"] not in _keys(documents, kind, wanted["name"]):
                    yield f"{entry['name']}: {kind} {wanted['name']} has no key {wanted['key']}: add it there"
        for kind, name in _sources(container):
            if not _keys(documents, kind, name):
                yield f"{kind} {name} is not there or empty: add it to a kustomization"
        given = {**dict.fromkeys(_names(container, documents)), **values_of(container, documents)}
        yield from setting_problems(container.get("args", []), given)
        yield from _address_problems(container, documents)


def _address_problems(container: Document, documents: list[Document]) -> Iterator[str]:
    """Ports that differ from what the service is told to listen on; services of ours that are not there."""
    given = values_of(container, documents)
    ports = {port["name"]: str(port["containerPort"]) for port in container.get("ports", []) if "name" in port}
    for name, number in ports.items():
        for setting, wanted in (("PORT", number), ("HOST", "0.0.0.0")):
            told = [v for key, v in given.items() if key.endswith(f"_{name.upper()}_{setting}")]
            if told != [wanted]:
                remedy = f"set …_{name.upper()}_{setting}={wanted}"
                yield f"port {name} is {number}, but the service listens on {told}: {remedy}"
    services = of_kind(documents, "Service")
    for key, value in sorted(given.items()):
        address = urlsplit(value)
        if address.scheme == "http" and "." not in (address.hostname or "."):
            offered = [
                port["port"] for port in services.get(str(address.hostname), {}).get("spec", {}).get("ports", [])
            ]
            if address.port not in offered and address.hostname != "localhost":
                yield f"{key}={value} leads to no Service: its ports are {offered}"


def _sources(container: Document) -> list[tuple[str, str]]:
    return [
        (kind, source[key]["name"])
        for source in container.get("envFrom", [])
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef"))
        if key in source
    ]


def _names(container: Document, documents: list[Document]) -> set[str]:
    given = {entry["name"] for entry in container.get("env", [])}
    return given.union(*(_keys(documents, kind, name) for kind, name in _sources(container)))


def values_of(container: Document, documents: list[Document]) -> dict[str, str]:
    """The values that a container gets from ConfigMaps and from its own env; Secrets' are not known here."""
    maps = of_kind(documents, "ConfigMap")
    values: dict[str, str] = {}
    for kind, name in _sources(container):
        values |= maps.get(name, {}).get("data", {}) if kind == "ConfigMap" else {}
    return values | {entry["name"]: entry["value"] for entry in container.get("env", []) if "value" in entry}


def _keys(documents: list[Document], kind: str, name: str) -> set[str]:
    found: dict[str, Any] = of_kind(documents, kind).get(name, {})
    return {*found.get("data", {}), *found.get("stringData", {})}


def environment_problems(documents: list[Document]) -> Iterator[str]:
    """What production must not have: simulators, sandboxes, and settings that only they need."""
    for document, template in with_pods(documents):
        for container in containers(template):
            name = f"{document['kind']}/{document['metadata']['name']}"
            values = values_of(container, documents)
            if "simulator" in f"{container.get('image')} {container.get('args')} {sorted(values.values())}":
                yield f"deploy/k8s/overlays/prod: {name}: names a simulator: remove it"
            known = settings_of(container["args"][0])[0] if container.get("args") else set()
            for setting, wanted in PRODUCTION.items():
                if setting in known and values.get(setting) != wanted:
                    remedy = f"set it to {wanted}" if wanted else "remove it"
                    yield f"deploy/k8s/overlays/prod: {name}: {setting} is {values.get(setting)}: {remedy}"
