import pytest
from archive_world import World
from raw_server import RawServer, answer


@pytest.fixture
def server():
    with RawServer(lambda request: answer({"rows": []})) as server:
        yield server


@pytest.fixture
def world(tmp_path, server):
    return World(tmp_path, server.url)
