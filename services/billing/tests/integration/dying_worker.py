"""A worker's look at stored webhooks in a process of its own, which a test may have killed.

It dies at the point that it is told, or handles what is stored and ends.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import httpx
from billing.testing import Billing, settings_for
from common import crash_points
from common.crash_points import Deed
from common.settings import DatabaseSettings
from common.testing import ServiceDatabase

ENDS_SECONDS = 200
"""To load billing and die takes four seconds on a quiet machine."""


async def killed_at(billing: Billing, point: str) -> int:
    """Let another process handle the webhooks that are stored, and die at ``point``; return how it ended."""
    given = billing.settings
    told = {
        "point": point,
        "admin_url": billing.database.admin_url,
        "database_url": given.database_url,
        "database_password": given.database_password.get_secret_value(),
        "folder": str(given.receipts_folder),
        "providers": {"paypal_base_url": given.paypal_base_url, "mtn_momo_base_url": given.mtn_momo_base_url},
    }
    child = subprocess.Popen([sys.executable, __file__, json.dumps(told)])
    try:
        return await asyncio.to_thread(child.wait, ENDS_SECONDS)
    finally:
        child.kill()
        child.wait()


async def _main(point: str, database: ServiceDatabase, folder: Path, providers: dict[str, str]) -> None:
    crash_points.arm({point: Deed.KILL})
    async with httpx.AsyncClient(timeout=10) as http:
        worker = Billing(database, settings_for(database, folder, **providers), http)
        await worker.watch.handle_webhooks()
        await worker.close()


if __name__ == "__main__":
    found = json.loads(sys.argv[1])
    settings = DatabaseSettings(database_url=found["database_url"], database_password=found["database_password"])
    where = ServiceDatabase("billing", found["admin_url"], settings)
    asyncio.run(_main(found["point"], where, Path(found["folder"]), found["providers"]))
