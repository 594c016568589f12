"""Spool, protocol, recovery and the one loop: the only place where data moves."""
