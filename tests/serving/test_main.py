"""`baton serve`: every setting at fault is named at once, and several workers are the supervisor's."""

from collections.abc import Sequence

import pytest

from serving.__main__ import main
from serving.settings import Settings


def test_every_setting_at_fault_is_named_with_its_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "99999", "--payload-sample", "2"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("baton serve: settings at fault\n")
    assert "--port: got '99999'" in told
    assert "--payload-sample: got '2'" in told


def test_several_workers_are_the_supervisors_and_one_is_served_here(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[tuple[str, int]] = []

    def supervise(settings: Settings, arguments: Sequence[str]) -> int:
        served.append((" ".join(arguments), settings.workers))
        return 3

    def serve(settings: Settings) -> int:
        served.append(("alone", settings.workers))
        return 4

    monkeypatch.setattr("serving.workers.supervisor.supervise", supervise)
    monkeypatch.setattr("serving.server.serve", serve)
    monkeypatch.setattr("gc.disable", lambda: None)
    assert main(["serve", "--workers", "2"]) == 3
    assert main(["--workers", "1"]) == 4
    assert served == [("--workers 2", 2), ("alone", 1)]
