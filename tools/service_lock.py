"""Prints the part of requirements.lock that one member needs at run time; with --members, the members that it needs.

Run by an interpreter in which the whole lock is installed: what needs what is read from the installed packages. The
image of a service then holds no test or build tool, and every package in it has its hash from the one lock.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PREFIX = "ebm-"


def member_folder(name: str) -> Path:
    """Where the member lies whose distribution is called `ebm-<name>`.

    Raises:
        SystemExit: there is none.
    """
    for group in ("services", "libs"):
        if (folder := ROOT / group / name).joinpath("pyproject.toml").is_file():
            return folder
    raise SystemExit(f"no member is called {name}")


def members_of(name: str) -> list[str]:
    """The member and those of ours that it needs, directly or not."""
    found = [name]
    for known in found:
        wishes = (Requirement(text).name for text in declared(known))
        found += [wish.removeprefix(PREFIX) for wish in wishes if wish.startswith(PREFIX) and wish[4:] not in found]
    return found


def declared(name: str) -> list[str]:
    """The dependencies that a member's pyproject.toml declares."""
    wishes: list[str] = tomllib.loads((member_folder(name) / "pyproject.toml").read_text())["project"]["dependencies"]
    return wishes


def closure(wishes: list[str]) -> set[str]:
    """Names of all packages that the wishes lead to on this system."""
    todo = [Requirement(text) for text in wishes]
    seen: set[tuple[str, str]] = set()
    while todo:
        wish = todo.pop()
        for extra in ["", *sorted(wish.extras)]:
            key = (canonicalize_name(wish.name), extra)
            if key in seen or wish.name.startswith(PREFIX):
                continue
            seen.add(key)
            todo += list(_needed(wish.name, extra))
    return {name for name, _extra in seen}


def _needed(name: str, extra: str) -> Iterator[Requirement]:
    try:
        declared_there = requires(name) or []
    except PackageNotFoundError:
        raise SystemExit(f"{name} is not installed here: is requirements.lock?") from None
    for text in declared_there:
        wish = Requirement(text)
        if wish.marker is None or wish.marker.evaluate({"extra": extra}):
            yield wish


def locked(names: set[str], lock: str) -> str:
    """The entries of these packages, with their hashes."""
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", lock)
    wanted = (entry for entry in entries[1:] if canonicalize_name(re.split(r"[=\[ ]", entry, maxsplit=1)[0]) in names)
    # A package may have several entries, each with a marker of its own; the installer picks.
    return "".join(wanted)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("member")
    parser.add_argument("--members", action="store_true")
    asked = parser.parse_args()
    ours = members_of(asked.member)
    if asked.members:
        print("\n".join(str(member_folder(name).relative_to(ROOT)) for name in ours))
        return 0
    wishes = [text for name in ours for text in declared(name)]
    sys.stdout.write(
        locked(
            closure([text for text in wishes if not text.startswith(PREFIX)]), (ROOT / "requirements.lock").read_text()
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
