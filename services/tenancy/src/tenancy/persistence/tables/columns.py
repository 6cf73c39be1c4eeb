"""The one description of tenancy's database that all its tables join."""

from common.persistence.tables import metadata_for

metadata = metadata_for()
