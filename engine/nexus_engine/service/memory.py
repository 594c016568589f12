"""How the process keeps memory that was freed.

glibc gives it back to the system as soon as 128 kB of it lie together, and takes it anew, page by page, for the next piece of a body:
4% of the CPU of a run over a large one.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # of malloc.h
_M_MMAP_THRESHOLD: Final = -3
_KEPT_BYTES: Final = 8 << 20  # by each of glibc's arenas; a single piece of memory that is larger is still given back


def keep_freed() -> None:
    """Keep a little of it. Does nothing with another C library, or where the environment says how."""
    told = "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") and name.endswith("_") for name in os.environ)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and not told:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
