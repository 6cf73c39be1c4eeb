"""The largest disk that vSphere makes, nearly empty, there and back."""

import pytest
from backup_engine.ports.hypervisor import ImportRequest
from backup_engine.testing.chunking import read_chunks
from simulators.esxi import DiskSpec, VmSpec

TIB = 1 << 40


@pytest.mark.invariant("D61")
@pytest.mark.parametrize("size", [62 * TIB, 2 * TIB + 512])
async def test_a_huge_sparse_disk_costs_what_it_holds_and_comes_back_equal(lab_of, size) -> None:
    lab = await lab_of()
    await lab.esxi.simulator.add_vm(VmSpec("big", (DiskSpec(size),)))
    marks = {0: b"\x01" * 512, TIB + 4096: b"\x02" * 4096, size - 512: b"\x03" * 512}
    for offset, data in marks.items():
        await lab.control.put("/_sim/vms/1/disks/2000/bytes", params={"offset": offset}, content=data)
    session = await lab.connect()
    taken = await lab.snapshot(session, "1")
    plan = await lab.plan(session, "1", taken)
    opened = await lab.open(session, "1", taken, plan)
    pieces = [(p.index * (4 << 20), p.data) async for p in read_chunks(opened.source, plan)]
    await opened.source.finish()
    assert [offset for offset, _ in pieces] == [offset // (4 << 20) * (4 << 20) for offset in marks]

    async def stored():
        for piece in pieces:
            yield piece

    lease = await session.import_machine(ImportRequest(await session.configuration("1"), "big-2", "task-1.1"))
    await lease.write_disk(2000, stored())
    moid = await lease.complete()
    for offset, data in marks.items():
        where = {"offset": offset, "length": len(data)}
        answer = await lab.control.get(f"/_sim/vms/{moid}/disks/2000/bytes", params=where)
        assert answer.content == data
