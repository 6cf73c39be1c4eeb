"""The HTTP edge of backup-engine."""
