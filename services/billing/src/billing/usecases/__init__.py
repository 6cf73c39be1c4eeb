"""What billing does, one verb a module; each runs inside a transaction that its caller opened."""
