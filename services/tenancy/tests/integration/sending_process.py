"""A process of its own that sends webhooks until it is killed: `python sending_process.py`, its settings on stdin."""

import asyncio
import sys

from common.clock import SystemClock
from common.persistence import Database
from tenancy.bootstrap import sender_of, tools_of
from tenancy.settings import NAME, Settings


async def main() -> None:
    settings = Settings.model_validate_json(sys.stdin.read())
    tools = tools_of(settings, Database(settings, NAME), SystemClock())
    await sender_of(tools).run(asyncio.Event(), lambda: None)


if __name__ == "__main__":
    asyncio.run(main())
