"""`baton bench` from its command line: the table, the files, and its errors."""

import json
from pathlib import Path

import pytest

from baton import main
from serving.bench.result import Result
from tests.serving.bench.server import Tiny, running

QUICK = ("--duration", "0.2", "--warmup", "0", "--rounds", "2")


@pytest.mark.slow
def test_two_servers_are_driven_by_turns_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    with running(Tiny()) as first, running(Tiny(delay_s=0.02)) as second:
        arguments = ["bench", first.url, second.url, "--model", "tiny", "--connections", "1,2", *QUICK]
        assert main([*arguments, "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "| [1] | closed, 2 connections |" in shown
    result = Result.model_validate_json(file.read_text())
    assert [(each.server, each.connections) for each in result.series] == [(0, 1), (1, 1), (0, 2), (1, 2)]
    assert all(len(each.rounds) == 2 for each in result.series)
    assert result.series[1].vs_first.median < 0.9
    counted = sum(round_.requests for each in result.series for round_ in each.rounds)
    assert counted + 2 == first.posted + second.posted  # each was asked once before, to see it answer
    assert result.machine.usable_cpus >= 1


@pytest.mark.slow
@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_random_rows_are_made_from_the_metadata(binary: bool) -> None:
    with running(Tiny()) as tiny:
        flags = ["--binary"] if binary else []
        assert main(["bench", tiny.url, "--model", "tiny", "--rows", "2", *flags, *QUICK]) == 0
    assert len(tiny.bodies) == 16
    for body in tiny.bodies:
        head = json.loads(body[: -2 * 3 * 4] if binary else body)
        assert head["inputs"][0]["shape"] == [2, 3]
        assert binary or len(head["inputs"][0]["data"]) == 6


@pytest.mark.slow
def test_a_file_is_sent_as_it_is_to_predict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "cat.jpg"
    image.write_bytes(b"\xff\xd8not really\xff\xd9")
    with running(Tiny()) as tiny:
        assert main(["bench", tiny.url, "--model", "photos", "--data", str(image), *QUICK]) == 0
    assert tiny.bodies == {image.read_bytes()}
    assert "POST /v1/models/photos:predict, 14 bytes" in capsys.readouterr().out


@pytest.mark.slow
def test_every_server_is_searched_once_a_round_and_the_searches_give_an_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    with running(Tiny(delay_s=0.02)) as first, running(Tiny(delay_s=0.02)) as second:
        flags = ["--find-rate", "--limit-ms", "60", "--connections", "2", *QUICK, "--json", str(file)]
        assert main(["bench", first.url, second.url, "--model", "tiny", *flags]) == 0
    assert "99% in 60 ms" in capsys.readouterr().out
    found = Result.model_validate_json(file.read_text()).saturation
    assert [each.server for each in found] == [0, 1]
    for each in found:
        assert {probe.search for probe in each.probes} == {0, 1}
        assert each.rate.low is not None
        best = max(probe.rate for probe in each.probes if probe.sustained)
        assert 0 < each.rate.median <= best
    assert found[0].vs_first.median == 1


@pytest.mark.slow
def test_with_a_limit_the_table_tells_the_share_of_good_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with running(Tiny(delay_s=0.02)) as tiny:
        for limit, share in (("1", "0.0%"), ("10000", "100.0%")):
            assert main(["bench", tiny.url, "--model", "tiny", "--limit-ms", limit, *QUICK]) == 0
            shown = capsys.readouterr().out
            assert f"| in {limit} ms |" in shown
            assert f"| {share} ({share}–{share}) |" in shown


@pytest.mark.slow
def test_a_plot_is_drawn_or_its_absence_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "result.png"
    with running(Tiny()) as tiny:
        arguments = ["bench", tiny.url, "--model", "tiny", *QUICK, "--plot", str(file)]
        pytest.importorskip("matplotlib")
        assert main(arguments) == 0
        assert file.read_bytes().startswith(b"\x89PNG")
        monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
        assert main(arguments) == 1
    captured = capsys.readouterr()
    assert "matplotlib is not installed" in captured.err
    assert captured.out.count("| [0] |") == 2  # the figures are shown all the same


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nonsense", "--model", "tiny"], "URL: got 'nonsense', expected http://host:port"),
        (["http://127.0.0.1:x", "--model", "tiny"], "got 'http://127.0.0.1:x', expected http://host:port"),
        (["http://127.0.0.1:1", "--model", "tiny"], "http://127.0.0.1:1: cannot connect: Connection refused"),
        (["http://127.0.0.1:1"], "--model: got none, expected a model's name"),
        (["http://127.0.0.1:1", "--model", "m", "--find-rate"], "--find-rate: expected --limit-ms"),
        (
            ["http://127.0.0.1:1", "--model", "m", "--shape", "x"],
            "--shape: got 'x', expected name:1,3,224,224",
        ),
        (["http://127.0.0.1:1", "--model", "m", "--data", "/nowhere/x.jpg"], "No such file"),
    ],
)
def test_a_benchmark_that_cannot_run_is_refused_in_words(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "text", "reason"),
    [
        ("--rate", "x", "got 'x', expected a number"),
        ("--rounds", "1.5", "got '1.5', expected a whole number"),
        ("--connections", "4,0", "got 0, expected at least 1"),
        ("--share", "2", "got 2, expected a number above 0, at most 1"),
    ],
)
def test_a_flag_that_cannot_be_read_is_refused_with_the_value_and_the_expected_kind(
    flag: str, text: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "http://127.0.0.1:1", "--model", "m", flag, text])
    assert f"argument {flag}: {reason}" in capsys.readouterr().err


def test_a_server_that_refuses_the_request_is_an_error_before_any_load(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running(Tiny(statuses=(400,))) as tiny:
        assert main(["bench", tiny.url, "--model", "tiny", *QUICK]) == 1
    assert '/infer: got status 400, expected 200: {"error": "as told"}' in capsys.readouterr().err
    assert tiny.posted == 1


@pytest.mark.slow
def test_the_former_name_of_a_flag_works_and_says_the_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "result.png"
    with running(Tiny()) as tiny:
        assert main(["bench", tiny.url, "--model", "tiny", *QUICK, "--picture", str(file)]) == 0
    assert file.read_bytes().startswith(b"\x89PNG")
    assert "--picture is deprecated: use --plot" in capsys.readouterr().err
