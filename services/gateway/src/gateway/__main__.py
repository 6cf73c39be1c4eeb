"""`python -m gateway api | contracts`."""

from pathlib import Path

from common.cli import Program, main

from gateway.bootstrap import build
from gateway.contracts import documents
from gateway.settings import NAME, Settings

PROGRAM = Program(
    name=NAME,
    prefix="",
    package_folder=Path(__file__).parent,
    settings=Settings,
    build=build,
    parts=("api",),
    documents=documents,
)

if __name__ == "__main__":
    main(PROGRAM)
