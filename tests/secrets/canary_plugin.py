"""Plugins that tell: a source and a sink whose exceptions, and log lines, hold their own secret options."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta
from nexus_engine import Options, hookimpl
from nexus_engine.contract.source import Payload, ReadRequest
from nexus_engine.errors import RetryLater, StopFeed
from nexus_plugins.sinks.clickhouse.sink import ClickHouseSink


class TellingOptions(Options, frozen=True):
    way: str
    token: Annotated[str, Meta(extra={"secret": True}, description="a secret")] = ""


class Telling:
    options = TellingOptions
    replayable = True

    def read(self, request: ReadRequest) -> Iterator[Payload]:
        token = request.options.token
        logging.getLogger("telling").warning("asks with %s", token)
        request.host.log(f"asks with {token}", token=token)
        match request.options.way:
            case "raise":
                raise ValueError(token)
            case "chain":
                try:
                    raise KeyError(token)
                except KeyError as error:
                    raise StopFeed(f"no {token}", where=token, did=token, do=token) from error
            case "later":
                raise RetryLater(f"later {token}", where=token)
            case "wrong":
                yield token  # type: ignore[misc]
            case _:
                yield Payload(f'{{"rows": [{{"id": "{token.encode().hex()}", "note": 1}}]}}'.encode(), {}, last=True, url=token)


class TellingSinkOptions(Options, frozen=True):
    password: Annotated[str, Meta(description="a secret")] = ""
    fails: str = ""


class TellingSink(ClickHouseSink):
    options = TellingSinkOptions

    def __init__(self, options: Any, context: Any) -> None:
        self._options = options
        if options.fails == "open":
            raise RuntimeError(f"cannot log in with {options.password}")

    def prepare(self, target: Any, *, apply: bool) -> Any:
        raise ConnectionError(f"login with {self._options.password} failed")


@hookimpl
def register_sources(register: Any) -> None:
    register("telling", Telling)


@hookimpl
def register_sinks(register: Any) -> None:
    register("telling", TellingSink)
