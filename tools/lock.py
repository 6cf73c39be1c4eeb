"""`make lock`: choose the versions of all dependencies again and write them, each with its hashes.

Versions that still fit stay; `--upgrade` chooses the newest. Needs uv (set-up gets it).
"""

import sys

from bootstrap import LOCK, ROOT, UV_LOCK, SetupFailed, find_uv, members, run, say

HEADER = "make lock"
"""Stands in the file as the command that makes it; uv would write its own arguments, paths of this machine included."""


def main() -> int:
    uv = find_uv()
    if uv is None:
        say("locking needs uv")
        return 1
    common = ["--universal", "--generate-hashes", "--no-emit-index-url", "--no-annotate", "-q", *sys.argv[1:]]
    common += ["--python-version", "3.11", "--custom-compile-command", HEADER]
    projects = [str((member / "pyproject.toml").relative_to(ROOT)) for member in members()]
    # The members are installed from here, not from a registry.
    ours = [part for member in members() for part in ("--no-emit-package", f"ebm-{member.name}")]
    try:
        run([uv, "pip", "compile", *common, "--group", "dev", "pyproject.toml", *projects, *ours, "-o", LOCK])
        wish = ROOT / "tools" / "uv.in"
        run([uv, "pip", "compile", *common, wish, "-o", UV_LOCK])
    except SetupFailed as error:
        say(str(error))
        return 1
    say(f"wrote {LOCK.name} and {UV_LOCK.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
