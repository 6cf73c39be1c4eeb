"""`make invariants`: which sentences of docs/invariants.md have a test that ran and passed, and which have none.

Exit code 1 when a marked test fails, when a marker names no sentence, or when a required number has no passing test.
"""

import argparse
import re
import sys
from collections import Counter
from pathlib import Path

from bootstrap import ROOT
from testing_run import WORKERS, Outcome, end_on_signals, run_pytest, servers

DOCUMENT = ROOT / "docs" / "invariants.md"


def numbers(text: str) -> list[str]:
    """The numbers of the document in its order, such as S1 or D65."""
    return re.findall(r"(?m)^- \*\*([A-Z]\d+)\*\*", text)


def required(wish: str) -> list[str]:
    """Numbers from a list (S1,S2) or a file of them; a range S1-S3 counts as its members, `#` starts a comment."""
    path = Path(wish)
    text = re.sub(r"#.*", "", path.read_text()) if path.is_file() else wish
    found = []
    for part in re.split(r"[,\s]+", text.strip()):
        if span := re.fullmatch(r"([A-Z])(\d+)-\1(\d+)", part):
            found += [f"{span[1]}{number}" for number in range(int(span[2]), int(span[3]) + 1)]
        elif part:
            found.append(part)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--require", default="", help="numbers, or a file of them, that must be proven")
    asked = parser.parse_args()
    end_on_signals()
    with servers() as found:
        outcome = run_pytest(["-q", "-n", WORKERS, "--dist", "loadfile", "-m", "invariant and not long"], found)
    sound = report(outcome, asked.require)
    print(found)
    return 0 if sound else 1


def report(outcome: Outcome, require: str) -> bool:
    """Print what a run proved; return whether nothing required is missing and nothing marked has failed."""
    known = numbers(DOCUMENT.read_text())
    for number in known:
        print(f"{number:<5} {_told(outcome.invariants.get(number, Counter()))}")
    troubles = list(_troubles(outcome, known, required(require)))
    for trouble in troubles:
        print(trouble)
    proven = sum(1 for number in known if _proven(outcome.invariants.get(number, Counter())))
    print(f"{proven} of {len(known)} invariants proven")
    return not troubles


def _proven(counts: Counter[str]) -> bool:
    """A skipped test proves nothing, a failed one disproves."""
    return counts["passed"] > 0 and counts["failed"] == 0


def _told(counts: Counter[str]) -> str:
    told = [f"{counts[what]} {what}" for what in ("passed", "failed", "skipped") if counts[what]]
    return ", ".join(told) or "none"


def _troubles(outcome: Outcome, known: list[str], wanted: list[str]) -> list[str]:
    unknown = sorted(set(outcome.invariants) - set(known))
    failed = sorted(number for number, counts in outcome.invariants.items() if counts["failed"])
    open_ones = [number for number in wanted if not _proven(outcome.invariants.get(number, Counter()))]
    said = {
        "tests name sentences that docs/invariants.md does not have": unknown,
        "a marked test failed for": failed,
        "files that could not be collected": outcome.broken,
        "tests not run for want of RabbitMQ": outcome.left_out,
        "required, and not proven": open_ones,
    }
    return [f"{text}: {', '.join(names)}" for text, names in said.items() if names]


if __name__ == "__main__":
    sys.exit(main())
