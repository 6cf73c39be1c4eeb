"""Routes of tenancy, one module per resource."""
