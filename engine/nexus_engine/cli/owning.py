"""Ask the owner of the data folder; be the owner when there is none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_engine.cli.context import Context
from nexus_engine.errors import NexusError
from nexus_engine.events import Event, Observers

if TYPE_CHECKING:
    from nexus_engine.compile.feeds import LoadedFeeds
    from nexus_engine.project.project import Project
    from nexus_engine.service.owner import Owner

DRAIN_S = 10.0
Tell = Callable[[Event], None]


def ask(context: Context, verb: str, args: dict[str, Any], tell: Tell | None = None) -> Any:
    """The verb's result: from the process that owns the data folder, or worked out here when there is none.

    Raises:
        NexusError: what the verb raises, here or there.
        Locked: the folder is owned by a process that does not listen.
    """
    from nexus_engine.service.socket_client import connect

    client = connect(context.project.data_dir)
    if client is not None:
        return client.call(verb, args, tell)
    with owning(context) as owner:
        return waited(lambda: owner.verbs()[verb](args, tell or silent), owner.stop)


@contextmanager
def owning(
    context: Context, *, observers: Observers | None = None, record: Path | None = None, replay: Path | None = None,
    only: tuple[str, ...] = (),
) -> Iterator[Owner]:
    """Own the data folder, recover what is staged, and listen on the socket.

    Args:
        record: folder for cassettes of every exchange.
        replay: folder of cassettes that answer in place of the APIs, at their recorded time.
        only: run no other feeds; all when empty.
    """
    from nexus_engine.cli.opening import open_session
    from nexus_engine.compile.accepting import Asked, accepted
    from nexus_engine.compile.feeds import load_feeds
    from nexus_engine.service.owner import Owner
    from nexus_engine.service.socket_server import SocketServer

    def load() -> tuple[Project, LoadedFeeds]:
        project = context.read_project()
        return project, accepted(_only(load_feeds(project, context.registry), only), asked=asked)

    with open_session(context, observers=observers or Observers(), record=record, replay=replay) as session:
        asked = Asked(session.engine)
        owner = Owner(session, _only(context.loaded, only), load)
        server = SocketServer(context.project.data_dir, owner.verbs(), owner.health)
        try:
            yield owner
        finally:
            owner.stop.set()
            owner.wait_idle(DRAIN_S)
            server.close()


def silent(event: Event) -> None:
    """Tell nobody."""


def _only(loaded: LoadedFeeds, names: tuple[str, ...]) -> LoadedFeeds:
    if not names:
        return loaded
    plans = {name: plan for name, plan in loaded.plans.items() if name in names}
    return replace(loaded, plans=plans, problems=loaded.of(names))


def waited(work: Callable[[], Any], stop: threading.Event, told: Callable[[str], None] | None = None) -> Any:
    """Do ``work`` in a thread, so that this one hears signals: the first sets ``stop``, the second ends the process."""
    from nexus_engine.service.signals import GracefulStop

    result: list[Any] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, name="work", daemon=True)
    with GracefulStop(told) as asked:
        thread.start()
        while thread.is_alive() and not asked.asked.is_set():
            thread.join(0.2)
        if asked.asked.is_set():
            stop.set()
            thread.join(DRAIN_S)
            if thread.is_alive():
                os._exit(0)  # it cannot be ended otherwise; every point is safe to be killed at
    if failure:
        raise failure[0]
    return result[0]


def refuse_owner(context: Context, words: str) -> None:
    """For what only this process can do.

    Raises:
        NexusError: another process owns the folder.
    """
    from nexus_engine.deliver.lock import owner_pid

    pid = owner_pid(context.project.data_dir / "nexus.lock")
    if pid is not None:
        raise NexusError(
            f"{words} needs the data folder for itself, but process {pid or 'unknown'} owns it",
            where=str(context.project.data_dir), did="nothing ran", do="stop that process (SIGTERM), or choose another --env",
        )
