"""Keys: their names, their types, and what may be told of them."""
