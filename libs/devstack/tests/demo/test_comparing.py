"""What the demo says when a byte did not come back: against a real simulated host."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from devstack.demo.backups import first_difference
from devstack.demo.esxi import EsxiControl
from devstack.demo.report import Report, RestoreLine
from simulators.esxi import HostSpec, RunningEsxi, VmSpec, start

MIB = 1 << 20


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[RunningEsxi]:
    running = await start(HostSpec(tmp_path, vms=(VmSpec.parse("web:16m:2m"),)))
    yield running
    await running.stop()


async def test_the_first_byte_that_differs_is_named(host: RunningEsxi) -> None:
    control = EsxiControl(host.control_url)
    await control.keep("1", 2000, "before")
    kept, now = partial(control.kept, "before"), partial(control.bytes_of, "1", 2000)
    assert await first_difference(kept, now, 16 * MIB) is None
    offset = 9 * MIB + 12_345
    async with httpx.AsyncClient(trust_env=False) as http:
        for at in (offset + 7, offset):
            was = (await control.bytes_of("1", 2000, at, 1))[0]
            path = f"{host.control_url}/_sim/vms/1/disks/2000/bytes"
            (await http.put(path, params={"offset": at}, content=bytes([was ^ 1]))).raise_for_status()
    assert await first_difference(kept, now, 16 * MIB) == offset


def test_a_report_is_good_only_when_all_came_back_and_all_was_refused() -> None:
    report = Report()
    assert not report.good
    report.restores.append(RestoreLine("point 2", "new VM", MIB, 1.0, identical=True))
    assert not report.good
    report.refusals = {"server": True}
    assert report.good
    report.restores.append(RestoreLine("point 3", "disk file", MIB, 1.0, identical=False, first_difference=42))
    assert not report.good
    assert "NO" in report.table()
    report.restores[-1].identical = True
    report.refusals["job"] = False
    assert not report.good
