"""``python -m <service> verify-audit``: is the audit log what it was when it was written?"""

import sys
from typing import Any

from common.audit.verifier import verify
from common.clock import SystemClock
from common.persistence.database import Database
from common.persistence.store import Store
from common.persistence.transaction import Transaction

NAME = "verify-audit"
HELP = "read the audit log's chains again; names the first broken row of each and leaves with 1"


async def run_command(settings: Any, prefix: str, name: str) -> int:
    """Verify every chain and print what was found; returns 1 when one is broken."""
    unit = type("AuditTransaction", (Transaction,), {"source": name})
    database = Database(settings, prefix)
    try:
        read, faults = await verify(Store(database, unit, SystemClock()), heads_folder=settings.audit_heads_folder)
    finally:
        await database.close()
    for fault in faults:
        sys.stdout.write(f"BROKEN chain {fault.chain}, number {fault.number}, row {fault.row}: {fault.what}\n")
    sys.stdout.write(f"{read} sealed rows read, {len(faults)} broken chains.\n")
    return 1 if faults else 0
