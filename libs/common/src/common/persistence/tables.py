"""What a service's ``persistence/tables.py`` begins with."""

from common.persistence.mechanisms import at, metadata_for, tenant_id

__all__ = ["at", "metadata_for", "tenant_id"]
