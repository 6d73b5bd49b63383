"""The supervisor keeps looking at the folder of models, and says how a worker ended."""

import asyncio
import signal

import pytest

from inference.runtime.machine import available_cpus
from serving.listening import listen
from serving.settings import Settings
from serving.workers.supervisor import Ended, Supervisor, supervise
from tests.serving.workers.stubs import until


def test_the_supervisor_has_the_folder_looked_at_again_though_a_look_failed() -> None:
    async def story() -> None:
        looks = 0

        async def refresh() -> None:
            nonlocal looks
            looks += 1
            raise TypeError("a bug")

        with listen("127.0.0.1", 0) as listening:
            supervisor = Supervisor(Settings(poll_s=0.001), [], listening)
            supervisor._coordinator.refresh = refresh  # type: ignore[method-assign]
            polling = asyncio.ensure_future(supervisor._poll())
            await until(lambda: looks == 3 or polling.done())
            assert not polling.done()
            polling.cancel()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("status", "refusal", "text"),
    [
        (1, "", "ended with status 1"),
        (2, "--models: got 'x'", "ended with status 2 (--models: got 'x')"),
        (-signal.SIGKILL, "", "was ended by SIGKILL"),
    ],
)
def test_the_end_of_a_worker_is_told_by_its_status_or_signal(status: int, refusal: str, text: str) -> None:
    assert str(Ended(status, was_up=True, lived_s=1.0, reason=refusal)) == text


def test_more_workers_than_cpus_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    cpus = available_cpus()
    assert supervise(Settings(workers=cpus + 1), []) == 2
    expected = f"--workers: got {cpus + 1}, expected at most {cpus}: each takes a CPU of its own"
    assert expected in capsys.readouterr().err
