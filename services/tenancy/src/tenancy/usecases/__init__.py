"""What tenancy does, one verb a file. The edge opens the transaction and hands it over."""
