"""Routes: parse, open the transaction, call one use case, shape the answer."""
