"""Let a deleted organization be erased; a column that came later has its grant where it came."""

from collections.abc import Mapping
from dataclasses import replace

from alembic import op
from common.persistence.rls import erasure_door
from tenancy.persistence.erasure import IMPERSONATIONS, PLAN, SINGLE_SIGN_ON, WEBHOOKS

revision = "2026_11_22_erasure"
down_revision = "2026_11_22_signing_keys"


LATER = {"held_for"}


def _then(empty: Mapping[str, str] | None) -> Mapping[str, str] | None:
    return None if empty is None else {name: value for name, value in empty.items() if name not in LATER}


def upgrade() -> None:
    later = {target.table for target in (*SINGLE_SIGN_ON, *WEBHOOKS, *IMPERSONATIONS)}
    targets = [replace(target, empty=_then(target.empty)) for target in PLAN.targets if target.table not in later]
    erasure_door(op, "tenancy", *targets)
