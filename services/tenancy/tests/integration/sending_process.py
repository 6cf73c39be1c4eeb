"""A process of its own that sends webhooks until it is killed, or dies at the point that its settings name."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from common import crash_points
from common.clock import SystemClock
from common.persistence import Database
from pydantic import SecretStr
from tenancy.bootstrap import sender_of, tools_of
from tenancy.settings import NAME, Settings


async def begun(settings: Settings, folder: Path) -> asyncio.subprocess.Process:
    """Start one with these settings, in a folder of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, stdin=asyncio.subprocess.PIPE, env={"PATH": os.environ["PATH"]}, cwd=folder
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(_told(settings)).encode())
    process.stdin.close()
    return process


def _told(settings: Settings) -> dict[str, Any]:
    """The settings as another process takes them, with what is secret."""
    told = json.loads(settings.model_dump_json())
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            told[name] = value.get_secret_value()
    return dict(told)


async def _main() -> None:
    settings = Settings.model_validate_json(sys.stdin.read())
    crash_points.arm(settings.crash_points)
    tools = tools_of(settings, Database(settings, NAME), SystemClock())
    await sender_of(tools).run(asyncio.Event(), lambda: None)


if __name__ == "__main__":
    asyncio.run(_main())
