"""Built-in formats, one folder each."""
