"""`python -m tenancy api | worker | migrate | create-database | contracts | create_staff | dismiss_staff | …`."""

import argparse
import json
import os
import sys
from dataclasses import asdict

from common.cli import Extra, Program, main
from common.errors import DomainError

from tenancy.bootstrap import PACKAGE_FOLDER, SYSTEM_ROLES, build, create_staff, dismiss_staff, rotate_key
from tenancy.contracts import documents
from tenancy.domain.roles import StaffRole
from tenancy.persistence.erasure import PLAN
from tenancy.settings import NAME, Settings


def _staff_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--email", required=True)
    parser.add_argument("--role", required=True, choices=[role.value for role in StaffRole])
    parser.add_argument("--totp-secret", help="base32; a random one unless given")


async def _create_staff(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print the credentials once, as JSON. A password of one's own comes by TENANCY_STAFF_PASSWORD, not by argument:
    arguments are visible to everybody on the machine.
    """
    try:
        shown = await create_staff(
            settings,
            email=arguments.email,
            role=arguments.role,
            password=os.environ.get("TENANCY_STAFF_PASSWORD"),
            totp_secret=arguments.totp_secret,
        )
    except DomainError as refused:
        sys.stderr.write(f"{refused.code}: {refused}\n")
        return 1
    sys.stdout.write(json.dumps(asdict(shown)) + "\n")
    return 0


def _dismissal_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--email", required=True)


async def _dismiss_staff(settings: Settings, arguments: argparse.Namespace) -> int:
    try:
        await dismiss_staff(settings, email=arguments.email)
    except DomainError as refused:
        sys.stderr.write(f"{refused.code}: {refused}\n")
        return 1
    return 0


def _rotation_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--alone",
        action="store_true",
        help="a key has become known: sign with the new one at once and refuse every token signed by an older one",
    )


async def _rotate_key(settings: Settings, arguments: argparse.Namespace) -> int:
    """Say which key it is and from when it signs; running processes take it over within ten seconds."""
    key = await rotate_key(settings, alone=arguments.alone)
    sys.stdout.write(json.dumps({"kid": key.kid, "signs_from": key.signs_from.isoformat()}) + "\n")
    return 0


PROGRAM = Program(
    name=NAME,
    prefix=NAME,
    package_folder=PACKAGE_FOLDER,
    settings=Settings,
    build=build,
    parts=("api", "worker"),
    documents=documents,
    system_roles=SYSTEM_ROLES,
    erasure=PLAN,
    extras={
        "create_staff": Extra(
            "give a person of the platform an account with a second factor", _create_staff, _staff_arguments
        ),
        "dismiss_staff": Extra(
            "take a person's staff roles; sessions and impersonations end at once", _dismiss_staff, _dismissal_arguments
        ),
        "rotate_signing_key": Extra(
            "make a new key for access tokens; nothing is restarted", _rotate_key, _rotation_arguments
        ),
    },
)

if __name__ == "__main__":
    main(PROGRAM)
