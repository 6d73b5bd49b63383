"""The command line of `baton bench` becomes options, and flags that exclude each other are refused."""

import pytest

from serving.bench.options import read_options
from serving.bench.values import BenchError, Closed, Open

URL = "http://127.0.0.1:8000"


def test_connections_are_closed_loops_and_rates_open_ones_over_the_most() -> None:
    closed = read_options([URL, "--model", "m", "--connections", "1,4"])
    assert closed.loads() == (Closed(1), Closed(4))
    opened = read_options([URL, "--model", "m", "--connections", "1,4", "--rate", "10,20.5"])
    assert opened.loads() == (Open(10.0, 4), Open(20.5, 4))


def test_headers_and_shapes_are_collected() -> None:
    arguments = [URL, "--model", "m", "--header", "a: 1", "--header", "b:2:3", "--shape", "x:1,64"]
    options = read_options(arguments)
    assert options.headers == {"a": "1", "b": "2:3"}
    assert options.shapes == {"x": (1, 64)}


@pytest.mark.parametrize("text", ["none", ":x", "a:b\r\nc: d"])
def test_a_header_without_a_name_or_over_two_lines_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match=r"--header: got .*, expected NAME:VALUE"):
        read_options([URL, "--model", "m", "--header", text])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--model: got none, expected a model's name"),
        (["--path", "/x"], "--model: got none, expected a model's name"),
        (["--model", "m", "--find-rate"], "--find-rate: expected --limit-ms"),
        (
            ["--model", "m", "--find-rate", "--limit-ms", "5", "--rate", "9"],
            "--find-rate: got --rate too, expected only one of them",
        ),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags: list[str], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        read_options([URL, *flags])


@pytest.mark.parametrize("flag", ["--rate", "--limit-ms", "--duration", "--timeout"])
def test_a_time_or_rate_is_above_zero(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options([URL, "--model", "m", flag, "0"])
    assert f"argument {flag}: got 0, expected a number above 0" in capsys.readouterr().err


def test_the_former_flag_of_the_plot_is_not_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options(["--help"])
    told = capsys.readouterr().out
    assert "--plot" in told
    assert "--picture" not in told
