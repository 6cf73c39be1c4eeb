"""`make test-specs`: the provider contract tests against the providers' own specifications, which are not ours to copy.

SPECS_DIR names their folder. Without it nothing can be said, which is not a success.
"""

import os
import sys
from pathlib import Path

from testing_run import end_on_signals, run_pytest, servers

SETTING = "SPECS_DIR"


def main() -> int:
    folder = os.environ.get(SETTING, "")
    if not folder or not Path(folder).is_dir():
        print(f"{SETTING} must name the folder of the providers' specifications ({folder or 'not set'})")
        return 2
    os.environ[SETTING] = str(Path(folder).resolve())
    end_on_signals()
    with servers(wanted=False) as found:
        outcome = run_pytest(["tests/contracts", *sys.argv[1:]], found)
    print(f"specifications: {folder}")
    print(", ".join(f"{outcome.count(what)} {what}" for what in ("passed", "failed", "skipped")))
    # Whoever asks for this run wants the comparison: a test that skipped it did not do it.
    return 0 if outcome.exit_code == 0 and not outcome.count("skipped") else 1


if __name__ == "__main__":
    sys.exit(main())
