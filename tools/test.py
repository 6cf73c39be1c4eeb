"""`make test`: all tests, or those of one kind or one member, against servers started (or found) for the run.

Exit codes: 0 all passed · 1 some failed, or pytest could not run · 2 wrong arguments · 3 passed, but tests that need
RabbitMQ were not run, because there is none.
"""

import argparse
import sys

import invariants
from bootstrap import ROOT, members
from testing_run import NOTHING_SELECTED, WORKERS, Outcome, Servers, end_on_signals, repeat_failed, run_pytest, servers

KIND_CHOICES = ("unit", "integration", "contract", "e2e", "long")


def main() -> int:
    asked, further = _arguments()
    paths = _paths(asked.service)
    if paths is None:
        print(f"no member is called {asked.service}; there are: {', '.join(member.name for member in members())}")
        return 2
    end_on_signals()
    with servers(wanted=asked.kind != "unit") as found:
        workers = [] if WORKERS == "0" else ["-n", str(_workers(asked.kind)), "--dist", "loadfile"]
        outcome = run_pytest([*workers, "-m", _expression(asked.kind), *further, *paths], found)
        if asked.repeat_failed:
            outcome = repeat_failed(outcome, found)
    sound = invariants.report(outcome, asked.require) if asked.require else True
    return _report(outcome, found, selected=bool(asked.service or asked.kind or further)) or int(not sound)


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, epilog="Further arguments go to pytest.")
    parser.add_argument("--service", help="only the tests of this member, such as billing or common")
    parser.add_argument("--kind", choices=KIND_CHOICES, help="only tests of this kind (default: all but long)")
    parser.add_argument("--require", default="", help="invariants that the run must prove, as `make invariants` does")
    parser.add_argument("--repeat-failed", action="store_true", help="give a few failed tests a second try, alone")
    return parser.parse_known_args()


def _paths(member_name: str | None) -> list[str] | None:
    """Where to look for tests: everywhere (pytest's own testpaths), one member, None for an unknown member."""
    if not member_name:
        return []
    for member in members():
        if member.name in {member_name, member_name.replace("_", "-")}:
            return [str(member.relative_to(ROOT))]
    return None


def _workers(kind: str | None) -> int:
    """How many processes run the tests; long ones wait more than they compute, for leases, pauses and restarts."""
    return int(WORKERS) + (kind == "long")


def _expression(kind: str | None) -> str:
    if kind == "long":
        return "long"
    return f"{kind} and not long" if kind else "not long"


def _report(outcome: Outcome, found: Servers, *, selected: bool) -> int:
    print()
    for kind, counts in outcome.kinds.items():
        if total := sum(counts.values()):
            print(
                f"{kind}: {counts['passed']} of {total} passed, {counts['failed']} failed, {counts['skipped']} skipped"
            )
    for name in outcome.unsteady:
        print(f"passed only when repeated, so either it or what it tests is unsteady: {name}")
    for name in outcome.broken:
        print(f"not collected: {name}")
    print(found)
    if found.missing:
        names = ", ".join(outcome.left_out) or "none of the selected"
        print(f"not run for want of RabbitMQ ({found.missing}): {names}")
    print(", ".join(f"{outcome.count(what)} {what}" for what in ("passed", "failed", "skipped")))
    if outcome.exit_code == NOTHING_SELECTED and selected:
        return 3 if outcome.left_out else 0
    if outcome.exit_code != 0 or outcome.count("failed"):
        return 1
    return 3 if outcome.left_out else 0


if __name__ == "__main__":
    sys.exit(main())
