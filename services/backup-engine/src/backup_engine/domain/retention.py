"""How long a restore point is kept: fixed once, at commit, from the plan then in force."""

from __future__ import annotations

from datetime import datetime, timedelta


def keep_until(committed_at: datetime, plan_days: int, wanted_days: int | None = None) -> datetime:
    """The end of a point's keeping: the plan's days, or fewer when its configuration wants fewer.

    Args:
        committed_at: the server's commit time; a runner's clock plays no part (D54).
        plan_days: the plan's backup_retention_days.
        wanted_days: the configuration's own retention, at most the plan's.
    """
    days = plan_days if wanted_days is None else min(wanted_days, plan_days)
    return committed_at + timedelta(days=days)
