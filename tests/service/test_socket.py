"""The owner socket: verbs, events, tables and errors cross it unchanged; a dead owner is noticed; nobody else may open it."""

import contextlib
import os
import socket
import stat
import subprocess
import sys
import textwrap
import threading

import pytest

from nexus_engine.errors import NexusError, Reconnect, StopFeed
from nexus_engine.events import RunStarted
from nexus_engine.service import socket_path
from nexus_engine.service.socket_client import connect
from nexus_engine.service.socket_server import MAX_BODY_BYTES, MAX_CONNECTIONS, SocketServer
from nexus_engine.service.wire import Remote


def echo(args, tell):
    tell(RunStarted(feed=args.get("feed", "f"), run_id="r", partitions=2, trigger="socket"))
    return {"you said": args}


def fail(args, tell):
    raise StopFeed("it stopped", where="feed f", did="position kept", do="look")


def bug(args, tell):
    raise KeyError("oops")


@pytest.fixture
def served(tmp_path):
    verbs = {"echo": echo, "fail": fail, "bug": bug, "table": lambda args, tell: b"ARROW1\x00\xff"}
    server = SocketServer(tmp_path, verbs, lambda: {"pid": os.getpid()})
    yield tmp_path
    server.close()
    assert not (tmp_path / "nexus.sock").exists()


def test_a_verb_gets_its_arguments_and_tells_events(served):
    seen = []
    assert connect(served).call("echo", {"feed": "x", "n": [1, None]}, seen.append) == {"you said": {"feed": "x", "n": [1, None]}}
    assert seen == [RunStarted(feed="x", run_id="r", partitions=2, trigger="socket")]


def test_a_table_comes_as_bytes(served):
    assert connect(served).call("table", {}) == b"ARROW1\x00\xff"


def test_an_error_keeps_its_four_parts(served):
    with pytest.raises(Remote) as caught:
        connect(served).call("fail", {})
    error = caught.value
    assert (error.kind, error.what, error.where, error.did, error.do) == ("StopFeed", "it stopped", "feed f", "position kept", "look")


def test_a_bug_in_a_verb_does_not_end_the_owner(served):
    with pytest.raises(Remote, match="this is a bug: KeyError"):
        connect(served).call("bug", {})
    assert connect(served).health() == {"pid": os.getpid()}


def test_an_unknown_verb_is_an_error(served):
    with pytest.raises(NexusError, match="knows no /nothing"):
        connect(served).call("nothing", {})


@pytest.mark.parametrize("request_text", [
    b"POST /echo HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1),
    b"POST /echo HTTP/1.0\r\nContent-Length: -5\r\n\r\n",
    b"POST /echo HTTP/1.0\r\nContent-Length: 3\r\n\r\n[1]",
    b"POST /echo HTTP/1.0\r\nContent-Length: 3\r\n\r\n{x}",
    b"POST /echo HTTP/1.0\r\nContent-Length: x\r\n\r\n",
])
def test_broken_requests_are_answered_and_survived(served, request_text):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(served / "nexus.sock"))
        raw.sendall(request_text)
        assert b" 400 " in raw.makefile("rb").readline()
    assert connect(served).call("echo", {}) == {"you said": {}}


def test_calls_side_by_side(served):
    answers = []
    threads = [threading.Thread(target=lambda n=n: answers.append(connect(served).call("echo", {"n": n})["you said"]["n"])) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == list(range(20))


def test_no_more_connections_than_there_may_be(served):
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(MAX_CONNECTIONS)]
    try:
        for each in waiting:
            each.connect(str(served / "nexus.sock"))
        with socket.socket(socket.AF_UNIX) as late:
            late.connect(str(served / "nexus.sock"))
            late.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert late.recv(100) == b""
    finally:
        for each in waiting:
            each.close()
    while True:  # until the closed ones are noticed
        with contextlib.suppress(NexusError):
            assert connect(served).call("echo", {}) == {"you said": {}}
            break


def test_only_the_user_may_open_it(served):
    assert stat.S_IMODE((served / "nexus.sock").stat().st_mode) == 0o600


def test_a_long_path_gets_a_pointer_file(tmp_path):
    data = tmp_path / ("long-" * 20) / ("path-" * 10)
    data.mkdir(parents=True)
    server = SocketServer(data, {"echo": echo}, dict)
    try:
        named = data / "nexus.sock"
        assert named.is_file()
        assert stat.S_IMODE(named.stat().st_mode) == 0o600
        target = socket_path.find(data)
        assert len(str(target)) <= socket_path.LONGEST_BYTES
        assert connect(data).call("echo", {}) == {"you said": {}}
    finally:
        server.close()
    assert not target.parent.exists()


def test_nobody_listens(tmp_path):
    assert connect(tmp_path) is None
    (tmp_path / "nexus.sock").write_text("/nonexistent/nexus.sock\n")
    assert connect(tmp_path) is None


DIES = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from nexus_engine.service.socket_server import SocketServer
    from nexus_engine.events import RunStarted
    def die(args, tell):
        tell(RunStarted(feed="f", run_id="r", partitions=1, trigger="socket"))
        os.kill(os.getpid(), 9)
    SocketServer(Path(sys.argv[1]), {"die": die}, dict)
    print("up", flush=True)
    import time; time.sleep(60)
""")


def test_an_owner_that_dies_is_noticed_and_its_socket_is_no_hindrance(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", DIES, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "up\n"
    with pytest.raises(Reconnect, match="went away"):
        connect(tmp_path).call("die", {})
    process.wait()
    assert (tmp_path / "nexus.sock").exists()
    assert connect(tmp_path) is None
    server = SocketServer(tmp_path, {"echo": echo}, dict)
    assert connect(tmp_path).call("echo", {}) == {"you said": {}}
    server.close()
