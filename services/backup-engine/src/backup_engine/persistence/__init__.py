"""Rows and SQL of backup-engine; table objects never leave this package."""
