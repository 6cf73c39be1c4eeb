"""Names of a vault's objects in the store (§3): made and parsed here, nowhere else."""

import re
from dataclasses import dataclass
from uuid import UUID

from backup_engine.ports.vault import ObjectType

_HEX_ID = r"(?P<id>[0-9a-f]{64})"
_NUMBER = r"(?P<number>0|[1-9][0-9]{0,18})"
_OBJECT = re.compile(rf"(?P<aa>[0-9a-f]{{2}})/(?P<bb>[0-9a-f]{{2}})/{_HEX_ID}\.{_NUMBER}")
_POINT = re.compile(rf"(?P<id>[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})\.{_NUMBER}")
_KEYS = re.compile(_NUMBER)
_VAULT = re.compile(r"v1/(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/vault\.json")

VAULTS = "v1/"
"""Prefix of everything; its listing finds every vault of a store."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names within one vault."""

    vault_id: UUID

    @property
    def root(self) -> str:
        return f"v1/{self.vault_id}/"

    @property
    def vault(self) -> str:
        return f"{self.root}vault.json"

    @property
    def points(self) -> str:
        return f"{self.root}points/"

    @property
    def keys(self) -> str:
        return f"{self.root}keys/"

    @property
    def states(self) -> str:
        return f"{self.root}state/"

    def folder(self, kind: ObjectType) -> str:
        """Prefix of all chunks, or of all pages and roots."""
        return f"{self.root}chunks/" if kind is ObjectType.CHUNK else f"{self.root}maps/"

    def object(self, kind: ObjectType, object_id: bytes, generation: int) -> str:
        return f"{self.generations(kind, object_id)}{generation}"

    def generations(self, kind: ObjectType, object_id: bytes) -> str:
        """Prefix that exactly the generations of one object share."""
        text = object_id.hex()
        return f"{self.folder(kind)}{text[:2]}/{text[2:4]}/{text}."

    def point(self, point_id: UUID, token: int) -> str:
        return f"{self.points}{point_id}.{token}"

    def keys_object(self, number: int) -> str:
        return f"{self.keys}{number}"

    def state(self, generation: int) -> str:
        return f"{self.states}{generation}"

    def parse_object(self, kind: ObjectType, name: str) -> tuple[bytes, int] | None:
        """Return (id, generation), or None if this names no object of that folder."""
        found = _OBJECT.fullmatch(name.removeprefix(self.folder(kind)))
        if found is None or (found["aa"], found["bb"]) != (found["id"][:2], found["id"][2:4]):
            return None
        return bytes.fromhex(found["id"]), int(found["number"])

    def parse_point(self, name: str) -> tuple[UUID, int] | None:
        found = _POINT.fullmatch(name.removeprefix(self.points))
        return (UUID(found["id"]), int(found["number"])) if found else None

    def parse_keys(self, name: str) -> int | None:
        found = _KEYS.fullmatch(name.removeprefix(self.keys))
        return int(found["number"]) if found else None

    def parse_state(self, name: str) -> int | None:
        found = _KEYS.fullmatch(name.removeprefix(self.states))
        return int(found["number"]) if found else None


def parse_vault(name: str) -> UUID | None:
    """Return the vault whose ``vault.json`` this names, or None."""
    found = _VAULT.fullmatch(name)
    return UUID(found["id"]) if found else None
