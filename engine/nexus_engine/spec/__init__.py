"""YAML text -> Spec, with a position on every node and all problems at once."""
