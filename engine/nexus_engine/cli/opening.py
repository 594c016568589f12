"""Open a session for a command: with a recorder, or on a replay at its recorded time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_engine.cli.context import Context
from nexus_engine.events import Observers

if TYPE_CHECKING:
    from nexus_engine.deliver.session import Session


@contextmanager
def open_session(
    context: Context, *, observers: Observers | None = None, record: Path | None = None, replay: Path | None = None
) -> Iterator[Session]:
    """The session, closed at the end."""
    from nexus_engine.deliver.session import Session
    from nexus_engine.service.memory import keep_freed

    keep_freed()
    words: dict[str, Any] = {}
    with ExitStack() as stack:
        if replay is not None:
            from nexus_engine.testing.replay import ReplayServer

            context.replaying = True
            words["replay"] = stack.enter_context(ReplayServer(replay))
        if record is not None:
            words["recorder"] = record
        session = Session.open(context.project, context.registry, observers=observers, **words)
        stack.callback(session.close)
        yield session
