"""The catalogue as one attempt sees it: every call stands behind the attempt's fence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.crash_points import reach

from backup_engine.domain.lease import Fence
from backup_engine.ports.control_plane import ControlPlane, Grant
from backup_engine.ports.vault import StoredObject


@dataclass(frozen=True, slots=True)
class GrantedCatalogue:
    """ChunkCatalogue and Generations ports over the control plane, for one attempt."""

    control: ControlPlane
    grant: Grant
    fence: Fence

    async def known_chunks(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        self.fence.check()
        return await self.control.known_chunks(self.grant, ids)

    async def stored_chunks(self, objects: Sequence[StoredObject]) -> set[tuple[bytes, int]]:
        self.fence.check()
        live = await self.control.stored_chunks(self.grant, objects)
        reach("backup-engine.objects.registered")
        return live

    async def live_generations(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        self.fence.check()
        return await self.control.live_generations(self.grant, ids)
