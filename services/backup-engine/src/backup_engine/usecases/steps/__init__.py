"""Steps that several use cases share; no edge calls them."""
