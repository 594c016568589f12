"""Built-in sources, one folder each."""
