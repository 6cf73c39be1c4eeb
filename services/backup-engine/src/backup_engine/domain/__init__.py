"""Decisions without I/O: states and their transitions, leases, retention, quotas, names of snapshots."""
