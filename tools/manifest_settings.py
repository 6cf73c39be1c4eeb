"""Compares the environment that a manifest gives with the settings that a service reads."""

import re
from collections.abc import Iterator
from importlib import import_module

from bootstrap import ROOT
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

NOT_SETTINGS = re.compile(r"^(OTEL_|PYTHON|TZ$)")
"""Variables that libraries, not our settings, read."""


def setting_problems(command: list[str], given: set[str]) -> Iterator[str]:
    """Compare variables with the settings of the service that a command (`billing api`) runs."""
    service = command[0] if command else ""
    if not service or not (ROOT / "services" / service.replace("_", "-")).is_dir():
        return
    if not (ROOT / "services" / service.replace("_", "-") / "src" / service / "settings.py").is_file():
        yield f"{service} has no settings module"
        return
    known, needed = settings_of(service)
    for name in sorted(given - known):
        if not NOT_SETTINGS.match(name):
            yield f"{name} is no setting of {service}"
    for names in needed:
        if not names & given:
            yield f"{service} needs {' or '.join(sorted(names))}"


def settings_of(service: str) -> tuple[set[str], list[set[str]]]:
    """All variables that a service reads, and for each setting without a default the variables that give it."""
    settings: type[BaseSettings] = import_module(f"{service}.settings").Settings
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
