"""Batch ids: UUIDv7 that sort by their sequence number, whatever the clock does."""

from __future__ import annotations

import secrets
import uuid


def next_high(now_ns: int, last_high: int) -> int:
    """The first half of the next id: Unix milliseconds (48 bits), version 7, sub-milliseconds (12 bits). Never less than
    ``last_high``, so a clock that jumps back stands still here."""
    ms, rest_ns = divmod(now_ns, 1_000_000)
    high = (ms << 16) | 0x7000 | (rest_ns * 4096 // 1_000_000)
    return max(high, last_high)


def batch_id(high: int, seq: int) -> str:
    """The second half is the variant, the sequence number (40 bits) and random bits (22): both halves grow with ``seq``.
    ClickHouse compares UUIDs by their second half first, everybody else by the first: the order is the same."""
    low = (0b10 << 62) | ((seq & ((1 << 40) - 1)) << 22) | secrets.randbits(22)
    return str(uuid.UUID(int=(high << 64) | low))
