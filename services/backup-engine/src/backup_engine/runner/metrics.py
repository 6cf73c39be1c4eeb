"""What a runner counts, for Prometheus. Bytes are counted as they move, so that a long backup is seen on its way.

No label carries an organization: one series per organization and runner pod would outlive both; whose task it was is in
the log line of its end.
"""

from prometheus_client import Counter, Gauge, Histogram

from backup_engine.ports.control_plane import Progress

RUNNING = Gauge("runner_tasks_running", "Attempts under way", ["kind"])
ENDED = Counter("runner_tasks_total", "Attempts by how they ended", ["kind", "outcome"])
SECONDS = Histogram(
    "runner_task_seconds", "Time from claim to end", ["kind"], buckets=(1, 5, 15, 60, 300, 900, 3600, 14400, 43200)
)
READ = Counter("runner_read_bytes_total", "Bytes read from disks", ["kind"])
STORED = Counter("runner_stored_bytes_total", "Bytes written to vaults, compressed and sealed", ["kind"])


def moved(kind: str, before: Progress, now: Progress) -> None:
    """Count what moved between two states of one attempt."""
    READ.labels(kind).inc(max(0, now.bytes_read - before.bytes_read))
    STORED.labels(kind).inc(max(0, now.bytes_stored - before.bytes_stored))
