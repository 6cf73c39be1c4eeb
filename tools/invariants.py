"""`make invariants`: which sentences of docs/invariants.md have a test that ran and passed, and which tests can fail.

First the marked tests run once, but for end-to-end tests of sentences that a cheaper one proves too. Then, for the
numbers that the document's introduction lists and for those that have a mutation besides, the guarded mechanism is
switched off in a copy of the sources (tools/mutations/*.toml), one mechanism after the other, and one of the number's
unit and integration tests must fail. All that was found is in .devstack/invariants.json.

Exit code 1 when a marked test fails, a marker names no sentence, a required number has no passing test, a mutation
survives or no longer applies, or a listed number has none.
"""

import argparse
import asyncio
import json
import os
import re
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from bootstrap import ROOT
from mutating import Verdict, read_killers, read_mutations, test_files, try_all, write_killers
from pytest_numbers import NUMBERS_SETTING
from testing_run import WORKERS, Outcome, end_on_signals, run_pytest, servers

DOCUMENT = ROOT / "docs" / "invariants.md"
MUTATIONS = ROOT / "tools" / "mutations"
FOUND = ROOT / ".devstack" / "invariants.json"


def numbers(text: str) -> list[str]:
    """The numbers of the document in its order, such as S1 or D65."""
    return re.findall(r"(?m)^- \*\*([A-Z]\d+)\*\*", text)


def listed(text: str) -> list[str]:
    """The numbers that the document's introduction wants switched off."""
    sentence = re.search(r"for ([SD][^`]+?),\s+`make invariants` also switches", text)
    return required(sentence[1].replace("–", "-")) if sentence else []


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
    asked = _arguments()
    end_on_signals()
    every = read_mutations(MUTATIONS)
    wanted = asked.only or list(dict.fromkeys([*listed(DOCUMENT.read_text()), *(one.number for one in every)]))
    mutations = [] if asked.no_mutations else [one for one in every if one.number in wanted]
    with servers() as found:
        plain = run_pytest(_plain(asked, wanted), found)
        verdicts = asyncio.run(try_all(mutations, ROOT, found, plain, read_killers(MUTATIONS)))
    if asked.remember:
        write_killers(MUTATIONS, every, verdicts)
    whole = not (asked.only or asked.mutations_only)
    sound = report(plain, asked.require) if whole else _passed(plain)
    if not asked.no_mutations:
        sound &= report_mutations(verdicts, wanted)
    _write(plain, verdicts)
    print(found)
    return 0 if sound else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--require", default="", help="numbers, or a file of them, that must be proven")
    parser.add_argument("--only", type=required, help="these numbers' tests and mutations, such as S1,D10 or S44-S47")
    parser.add_argument(
        "--remember", action="store_true", help="write which test noticed each mutation, for it to be tried first"
    )
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--no-mutations", action="store_true", help="run the tests only")
    some.add_argument(
        "--mutations-only", action="store_true", help="run, before them, only the tests that the mutations need"
    )
    return parser.parse_args()


def _plain(asked: argparse.Namespace, wanted: list[str]) -> list[str]:
    """What to run without a mutation: what is marked, or the unit and integration tests of some numbers."""
    workers = ["-q", "-n", WORKERS, "--dist", "loadfile"]
    if not asked.only and not asked.mutations_only:
        return [*workers, "-p", "pytest_spared", "-m", "invariant and not long"]
    os.environ[NUMBERS_SETTING] = ",".join(wanted)
    return [*workers, "-p", "pytest_numbers", *test_files(ROOT, wanted)]


def _passed(outcome: Outcome) -> bool:
    for name in (*outcome.failed, *outcome.broken):
        print(f"failed without any mutation: {name}")
    return outcome.exit_code == 0


def report_mutations(verdicts: list[Verdict], wanted: list[str]) -> bool:
    """Print which tests cannot fail; return whether each wanted number has mutations and all were killed."""
    print()
    for verdict in verdicts:
        print(verdict)
    without = [number for number in wanted if number not in {verdict.mutation.number for verdict in verdicts}]
    if without:
        print(f"numbers without a mutation: {', '.join(without)}")
    counts = Counter(verdict.result for verdict in verdicts)
    told = ", ".join(f"{counts[result]} {result}" for result in ("killed", "survived", "broken"))
    print(f"mutations: {told} of {len(verdicts)}")
    return not without and counts["killed"] == len(verdicts)


def _write(plain: Outcome, verdicts: list[Verdict]) -> None:
    FOUND.parent.mkdir(parents=True, exist_ok=True)
    proofs = {test: asdict(proof) for test, proof in plain.proofs.items()}
    told = [asdict(verdict) for verdict in verdicts]
    FOUND.write_text(json.dumps({"tests": proofs, "mutations": told}, indent=1))


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
