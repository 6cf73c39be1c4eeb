"""Fills what the environment leaves open with stand-ins, and says so loudly; what is set is never replaced."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.auth.internal_token import public_part

from devstack.members import MEMBERS, WITH_DATABASE, Member
from devstack.secrets import StackSecrets
from devstack.servers.ports import free_port

PUBLIC_BASE_URL = "https://backup.example"
"""What providers are told; the simulators map it to the loopback gateway."""

SIMULATED = {
    "paypal": ("PAYPAL_CLIENT_ID", "PayPal"),
    "mtn_momo": ("MTN_MOMO_API_KEY", "MTN Mobile Money"),
    "mail": ("EMAIL_HOST", "the mail server"),
}
"""Which variable, when it is set, means that the real one is used."""

Environment = dict[str, str]


@dataclass(frozen=True)
class Ports:
    """Ports of one stack, chosen before anything starts so that each part can be told of the others."""

    api: Mapping[str, int]
    simulators: Mapping[str, int]

    @classmethod
    def chosen(cls) -> "Ports":
        """Take those of the environment (such as ``GATEWAY_HTTP_PORT``), free ones for the rest."""
        api = {member.name: _port(f"{member.variables}HTTP_PORT") for member in MEMBERS}
        names = ("paypal", "mtn_momo", "mail", "smtp", "esxi", "esxi_control")
        return cls(api, {name: _port(f"{name.upper()}_SIMULATOR_PORT") for name in names})

    def url(self, service: str) -> str:
        """Base URL of a service's API."""
        return f"http://127.0.0.1:{self.api[service]}"

    def simulator(self, name: str) -> str:
        """Base URL of a simulator's http port."""
        return f"http://127.0.0.1:{self.simulators[name]}"


def _port(variable: str) -> int:
    return int(os.environ.get(variable) or 0) or free_port()


def simulated() -> list[str]:
    """Return which providers are simulators, by the environment."""
    return [name for name, (variable, _label) in SIMULATED.items() if not os.environ.get(variable)]


def announce_simulators() -> None:
    """Say loudly what is not real."""
    for name in simulated():
        sys.stderr.write(f"!! {SIMULATED[name][1]} is a simulator ({SIMULATED[name][0]} is not set)\n")


def filled(
    folder: Path, kept: StackSecrets, ports: Ports, *, postgres: tuple[str, int], broker: Mapping[str, str] | None
) -> Environment:
    """Return the whole environment of a stack's parts.

    Args:
        folder: The stack's own folder.
        kept: Its secrets.
        ports: Its ports.
        postgres: Host and port of its PostgreSQL.
        broker: Broker URL by service, or ``None`` for the in-process broker.
    """
    values: Environment = {"ENVIRONMENT": "development", "PUBLIC_BASE_URL": PUBLIC_BASE_URL}
    for member in MEMBERS:
        values |= _of_member(member, kept, ports, postgres, broker)
    values |= _gateway(kept, ports) | _tenancy(kept) | _backup_engine(folder, kept)
    values |= _billing(folder) | _providers(kept, ports)
    return values | {name: value for name, value in os.environ.items() if value}


@contextmanager
def applied(values: Mapping[str, str]) -> Iterator[None]:
    """Make the values this process's environment while the block lasts: who reads settings reads them there."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        # Never empty in between: other threads start servers meanwhile, and hand on what they find.
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _of_member(
    member: Member, kept: StackSecrets, ports: Ports, postgres: tuple[str, int], broker: Mapping[str, str] | None
) -> Environment:
    prefix = member.variables
    values = {
        f"{prefix}HTTP_PORT": str(ports.api[member.name]),
        f"{prefix}GATEWAY_PUBLIC_KEYS": json.dumps([public_part(kept.gateway_key)]),
    }
    if member in WITH_DATABASE:
        host, port = postgres
        values |= {
            f"{prefix}DATABASE_URL": f"postgresql://{host}:{port}/{member.prefix}",
            f"{prefix}DATABASE_PASSWORD": kept.database_password,
            f"{prefix}DATABASE_OWNER_PASSWORD": kept.owner_password,
        }
    if broker is not None and member.name in broker:
        values[f"{prefix}BROKER_URL"] = broker[member.name]
    return values


def _gateway(kept: StackSecrets, ports: Ports) -> Environment:
    return {
        "GATEWAY_SIGNING_KEY": json.dumps(kept.gateway_key),
        "GATEWAY_TENANCY_URL": ports.url("tenancy"),
        "GATEWAY_BILLING_URL": ports.url("billing"),
        "GATEWAY_BACKUP_ENGINE_URL": ports.url("backup-engine"),
    }


def _tenancy(kept: StackSecrets) -> Environment:
    return {
        "TENANCY_TOKEN_PRIVATE_KEYS": json.dumps([kept.token_key]),
        "TENANCY_SECRET_KEY": kept.tenancy_key,
        "TENANCY_WEBHOOK_ALLOW_LOOPBACK": "true",
    }


SAMPLE_BANK = {
    "BANK_NAME": "Votre Banque (exemple)",
    "BANK_ACCOUNT_NAME": "ESXi Backup Manager SAS (exemple)",
    "BANK_ACCOUNT_NUMBER": "XXXXXXXXXXXX",
    "BANK_SWIFT_CODE": "XXXXXXXX",
    "BANK_IBAN": "XX XX XXXX XXXX XXXX XXXX XXXX XXX",
    "BANK_BRANCH": "Agence Principale (exemple)",
}
"""The guide's sample account, marked as one."""


def _billing(folder: Path) -> Environment:
    return SAMPLE_BANK | {"BILLING_RECEIPTS_FOLDER": str(folder / "receipts"), "APP_BASE_URL": PUBLIC_BASE_URL}


def _backup_engine(folder: Path, kept: StackSecrets) -> Environment:
    return {
        "BACKUP_ENGINE_CREDENTIALS_KEY": kept.sealing_key,
        "BACKUP_ENGINE_OBJECT_STORE_FOLDER": str(folder / "vaults"),
        "BACKUP_ENGINE_KMS_FOLDER": str(folder / "kms"),
        "BACKUP_ENGINE_EXPORT_FOLDER": str(folder / "exports"),
        "BACKUP_ENGINE_DEPLOYMENT_ID": "devstack",
        "BACKUP_ENGINE_ESXI_ALLOW_LOOPBACK": "true",
    }


def _providers(kept: StackSecrets, ports: Ports) -> Environment:
    values: Environment = {}
    names = simulated()
    if "paypal" in names:
        values |= {
            "PAYPAL_MODE": "sandbox",
            "PAYPAL_CLIENT_ID": kept.paypal_client_id,
            "PAYPAL_CLIENT_SECRET": kept.paypal_client_secret,
            "PAYPAL_BASE_URL": ports.simulator("paypal"),
        }
    if "mtn_momo" in names:
        values |= {
            "MTN_MOMO_SUBSCRIPTION_KEY": kept.momo_subscription_key,
            "MTN_MOMO_USER_ID": kept.momo_api_user,
            "MTN_MOMO_API_KEY": kept.momo_api_key,
            "MTN_MOMO_DISBURSEMENT_KEY": kept.momo_subscription_key,
            "MTN_MOMO_DISBURSEMENT_USER_ID": kept.momo_api_user,
            "MTN_MOMO_DISBURSEMENT_API_KEY": kept.momo_api_key,
            "MTN_MOMO_BASE_URL": ports.simulator("mtn_momo"),
        }
    if "mail" in names:
        values |= {
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(ports.simulators["smtp"]),
            "EMAIL_USE_TLS": "false",
        }
    return values


def of_announced(announced: Mapping[str, Mapping[str, object]]) -> Environment:
    """Return the settings that only a running simulator can tell: PayPal's webhook id and payee."""
    values: Environment = {}
    if "paypal" in announced:
        paypal = announced["paypal"]
        values |= {
            "PAYPAL_WEBHOOK_ID": str(paypal["webhook_id"]),
            "PAYPAL_MERCHANT_ID": str(paypal["merchant_id"]),
        }
    return values
