"""Spec + Registry -> Plan. Pure: text in, SQL out, no I/O, no clock."""
