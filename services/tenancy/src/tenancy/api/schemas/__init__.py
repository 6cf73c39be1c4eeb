"""Bodies and answers of tenancy's API."""
