"""The application, put together: shares of a limit, and one body for every error."""

import asyncio
from pathlib import Path

import httpx
import pytest

from serving.app import _share, create_app
from serving.settings import Settings


@pytest.mark.parametrize(
    ("rows", "workers", "share"), [(None, 4, None), (8, 1, 8), (8, 2, 4), (9, 2, 5), (1, 4, 1)]
)
def test_a_limit_of_the_server_is_shared_and_rounded_up(
    rows: int | None, workers: int, share: int | None
) -> None:
    assert _share(rows, workers) == share


def test_a_fault_of_ours_is_an_answer_without_its_text(tmp_path: Path) -> None:
    async def scene() -> None:
        app = create_app(Settings(models=tmp_path))

        def broken() -> bool:
            raise RuntimeError("a secret")

        app.registry.steady = broken  # type: ignore[method-assign]
        transport = httpx.ASGITransport(app.asgi, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
            answer = await http.get("/v2/health/ready")
        assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})

    asyncio.run(scene())
