"""Crash points: every step after which the process may die, by name.

``NEXUS_CRASH_AT=<point>`` kills this process with SIGKILL when it first comes to that point, ``<point>#3`` when it comes there
the third time. Tests sweep every point and every visit until a run ends untouched; nothing else sets the variable.
``NEXUS_CRASH_AT=trace`` kills nothing and makes each point visible to strace, as a look at ``/nexus-crash-point/<point>``.

What holds after a kill at each point:

======================  ==================================================================================================
archive.written/kept    nothing durable happened but a body that no batch has: it is removed at the next start
stage.* query.*         nothing durable happened; the next run asks again from the old position
side.*                  the same; the side table is removed when the next process makes its first one
spool.*                 the same; the orphan file is removed at the next start
intent.before           the same
intent.after            the batch is ours: the next start delivers it, whatever became of its spec
insert.before/after     the next start reads back which rows are there, and inserts the missing ones
uncertain.* missing.*   the same: each of these steps may be repeated
done.before             the next start finds every row present, and writes nothing
done.after drop.*       the batch is done; the orphan file is removed at the next start, a side table as above
shape.*                 every batch is done; the next run counts and judges anew what this one would have kept
recovery.* orphans.*    recovery begins again from its start
replace.begun           the same command begins anew: nothing of the range was read
replace.before/removed  everything new is in the table; the same command removes what is old, which may be repeated
replace.after           the range is replaced; the same command would do it once more
archive.expired/freed   the next start removes the bodies that no batch has any more
======================  ==================================================================================================
"""

from __future__ import annotations

import os
import signal
from collections import Counter

POINTS = (
    "archive.written",  # a body is written, under its temporary name
    "archive.kept",
    "stage.closed",  # the raw file is written
    "side.made",  # a side table is there, and empty
    "side.filled",  # the good rows of a batch are in it
    "query.mapped",  # the mapped rows are in a file or a side table
    "query.finished",  # the produced spool file is written, under its temporary name
    "spool.before",
    "spool.synced",
    "spool.renamed",
    "spool.after",
    "intent.before",
    "intent.after",
    "insert.before",
    "insert.after",
    "uncertain.before",
    "uncertain.settled",
    "uncertain.read",
    "missing.before",
    "missing.after",
    "done.before",
    "done.after",
    "drop.before",
    "drop.after",
    "shape.before",
    "shape.after",
    "recovery.before",
    "recovery.after",
    "orphans.before",
    "orphans.removed",
    "orphans.after",
    "replace.begun",  # the batch is known that new rows come after
    "replace.before",  # all of the range is read and safe
    "replace.removed",
    "replace.after",
    "archive.expired",  # the index has forgotten the oldest answers
    "archive.freed",
)

visits: Counter[str] = Counter()  # while the variable is set: how often this process came to each point


def point(name: str) -> None:
    """Die here when told to. ``name`` is one of :data:`POINTS`."""
    wanted = os.environ.get("NEXUS_CRASH_AT")
    if not wanted:
        return
    if name not in POINTS:
        raise ValueError(f"{name!r} is not a registered crash point")
    visits[name] += 1
    at, _, visit = wanted.partition("#")
    if at == "trace":
        os.access(f"/nexus-crash-point/{name}", os.F_OK)
    elif at == name and visits[name] == int(visit or 1):
        os.kill(os.getpid(), signal.SIGKILL)
