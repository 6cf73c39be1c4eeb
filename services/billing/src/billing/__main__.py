"""``python -m billing api | worker | migrate | create-database | contracts | create_plans | paypal_webhook``."""

import argparse
import sys

from common.cli import Extra, Program, main

from billing.bootstrap import PACKAGE_FOLDER, SYSTEM_ROLES, build, create_plans
from billing.contracts import documents
from billing.operator_command import COMMANDS
from billing.persistence.erasure import PLAN
from billing.settings import NAME, Settings


async def _create_plans(settings: Settings, _arguments: argparse.Namespace) -> int:
    await create_plans(settings)
    sys.stdout.write("Plans and payment methods are in place.\n")
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
    extras={"create_plans": Extra("put plans, prices and payment methods in place", _create_plans), **COMMANDS},
)

if __name__ == "__main__":
    main(PROGRAM)
