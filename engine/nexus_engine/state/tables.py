"""The tables of the state store, and their version. One schema for SQLite now and PostgreSQL later."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

# 1 had no window_end, envelope and altered in quarantine; 2 had no parent, replacing, body, shape and drift; 3 had no identity, times
# and first_at in quarantine.
SCHEMA = 4

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)

# What gives a feed's positions their meaning, and when it runs next.
feed = Table(
    "feed",
    metadata,
    Column("feed", String, primary_key=True),
    Column("position_hash", String, nullable=False, default=""),
    Column("target", String, nullable=False, default=""),
    Column("next_run", String),
)

position = Table(
    "position",
    metadata,
    Column("feed", String, primary_key=True),
    Column("partition", String, primary_key=True),
    Column("position", Text, nullable=False),  # JSON, keys sorted
    Column("moved_at", String, nullable=False),
)

# What `with` adds to the values of a partition (JSON): not in its name, so not in its position.
parent = Table(
    "parent",
    metadata,
    Column("feed", String, primary_key=True),
    Column("partition", String, primary_key=True),
    Column("fields", Text, nullable=False),
)

# A batch outlives its spec: `target` is frozen JSON, and recovery needs nothing else.
batch = Table(
    "batch",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("id", String, nullable=False, unique=True),
    Column("feed", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("table_name", String, nullable=False),
    Column("target", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("sha256", String, nullable=False),
    Column("advances", Text, nullable=False),
    Column("books", Text, nullable=False),
    Column("state", String, nullable=False),  # staged | done
    Column("staged_at", String, nullable=False),
    Column("done_at", String),
    Index("batch_by_state", "state", "seq"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("feed", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("batch_id", String, nullable=False),
    Column("partition", String, nullable=False),
    Column("window_start", String),
    Column("page", Integer, nullable=False),
    Column("record", Integer, nullable=False),
    Column("url", Text, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("raw", Text, nullable=False),
    Column("truncated", Integer, nullable=False),
    Column("window_end", String),
    Column("envelope", Text, nullable=False, server_default=""),
    Column("altered", Integer, nullable=False, server_default="0"),
    Column("at", String, nullable=False),  # when it was refused last, and from here on in its window, page and batch of then
    Column("identity", String, nullable=False, server_default=""),
    Column("times", BigInteger, nullable=False, server_default="1"),
    Column("first_at", String, nullable=False, server_default=""),  # "": at
    Index("quarantine_by_feed", "feed", "id"),
    Index("quarantine_by_identity", "feed", "identity"),
)

run = Table(
    "run",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("feed", String, nullable=False),
    Column("trigger", String, nullable=False),
    Column("status", String, nullable=False),
    Column("started_at", String, nullable=False),
    Column("finished_at", String),
    Column("report", Text, nullable=False, default="{}"),
    Index("run_by_feed", "feed", "started_at"),
    Index("run_by_start", "started_at"),
)

request = Table(
    "request",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("run_id", String, ForeignKey("run.run_id", ondelete="CASCADE"), nullable=False),
    Column("at", String, nullable=False),
    Column("method", String, nullable=False),
    Column("url", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body_bytes", BigInteger, nullable=False),
    Column("elapsed_ms", Float, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Index("request_by_run", "run_id", "id"),
)

# The books: counts of rows per window, which must close.
book = Table(
    "book",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("partition", String, primary_key=True),
    Column("window_start", String, primary_key=True),  # "" for an open window
    Column("window_end", String, nullable=False),
    Column("counts", Text, nullable=False),  # JSON
    Column("complete", Integer, nullable=False, default=0),
)

# When the last requests of a rate budget were sent, so that a restart does not spend it twice.
stamp = Table(
    "stamp",
    metadata,
    Column("key", String, primary_key=True),
    Column("stamps", Text, nullable=False),
)

# Ranges that are being replaced: rows of batches before `began` go at the end.
replacing = Table(
    "replacing",
    metadata,
    Column("feed", String, primary_key=True),
    Column("space", String, primary_key=True),
    Column("began", String, nullable=False),
)

# The index of the raw archive: one row per payload and answer that it came from. The bodies are files, by their hash.
body = Table(
    "body",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("feed", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("batch_id", String, nullable=False),
    Column("origin", String, nullable=False),  # the batch it first came in, when it was parsed again
    Column("partition", String, nullable=False),
    Column("window_start", String),
    Column("window_end", String),
    Column("page", Integer, nullable=False),
    Column("exchange", Integer, nullable=False),
    Column("method", String, nullable=False),
    Column("url", Text, nullable=False),
    Column("request", Text, nullable=False),  # JSON: headers, body
    Column("status", Integer, nullable=False),
    Column("headers", Text, nullable=False),  # JSON
    Column("whole", Integer, nullable=False),
    Column("sha256", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("packed", BigInteger, nullable=False),
    Column("first_row", BigInteger),
    Column("last_row", BigInteger),
    Column("at", String, nullable=False),
    Index("body_by_feed", "feed", "id"),
    Index("body_by_batch", "batch_id"),
    Index("body_by_hash", "sha256"),
)

# What the records of a feed look like, and how they have drifted from that.
shape = Table(
    "shape",
    metadata,
    Column("feed", String, primary_key=True),
    Column("meaning", String, nullable=False),
    Column("learned", Integer, nullable=False),
    Column("shape", Text, nullable=False),  # JSON
    Column("absent", Text, nullable=False),  # JSON
    Column("at", String, nullable=False),
)

drift = Table(
    "drift",
    metadata,
    Column("feed", String, primary_key=True),
    Column("path", String, primary_key=True),
    Column("kind", String, primary_key=True),  # new | missing | retyped
    Column("was", Text, nullable=False),
    Column("now", Text, nullable=False),
    Column("sample", Text, nullable=False),
    Column("page", Integer, nullable=False),
    Column("url", Text, nullable=False),
    Column("read", Integer, nullable=False),
    Column("near", Text, nullable=False),
    Column("shape", Text, nullable=False),  # JSON
    Column("first_run", String, nullable=False),
    Column("first_at", String, nullable=False),
    Column("last_run", String, nullable=False),
    Column("last_at", String, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("state", String, nullable=False),  # open | accepted | back
)
