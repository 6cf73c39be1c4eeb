"""``python -m backup_engine api | worker | runner | migrate | create-database | contracts | vault …``."""

from __future__ import annotations

import sys

from common.cli import Program, main

from backup_engine import operator_command
from backup_engine.bootstrap import PACKAGE_FOLDER, SYSTEM_ROLES, build
from backup_engine.contracts import documents
from backup_engine.persistence.erasure import PLAN
from backup_engine.rescue_command import run
from backup_engine.settings import NAME, PREFIX, Settings

PROGRAM = Program(
    name=NAME,
    prefix=PREFIX,
    package_folder=PACKAGE_FOLDER,
    settings=Settings,
    build=build,
    parts=("api", "worker", "runner"),
    documents=documents,
    system_roles=SYSTEM_ROLES,
    erasure=PLAN,
    extras=operator_command.COMMANDS,
)

if __name__ == "__main__":
    if sys.argv[1:2] == ["vault"] and not operator_command.wanted(sys.argv[2:]):
        sys.exit(run(sys.argv[2:]))  # works without database and settings, hence before anything reads them
    main(PROGRAM)
