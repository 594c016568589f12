"""Built-in transformers, one folder each."""
