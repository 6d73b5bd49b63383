"""A real server on a free port, started once for the tests that only ask it something."""

from collections.abc import Iterator

import httpx
import pytest

from tests.serving.servers import ADMIN, ThreadedServer, start, write_models


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    root = tmp_path_factory.mktemp("models")
    write_models(root)
    with start(models=root, max_body_bytes=1 << 20, max_instances=40, admin_token=ADMIN) as running:
        yield running


@pytest.fixture(scope="session")
def http(server: ThreadedServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"accept-encoding": "identity"}) as client:
        yield client
