"""ClickHouse as text (types, quoting, DDL, diff) and the one embedded session."""
