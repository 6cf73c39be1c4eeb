"""Decisions of tenancy without I/O: roles, organizations, entitlements, usage months, passwords, tokens."""
