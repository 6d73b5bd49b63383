"""Run directories as Prometheus metrics, a run that is being written among them."""

import json
import threading
import urllib.request
from pathlib import Path

from training.fit.run_metrics import make_server, read_runs, render

HEADER = "epoch,step,train/loss,val/accuracy\n"


def write_run(folder: Path, name: str, lines: str, *, finished: bool = False) -> None:
    log = folder / name / "logs/csv/version_0/metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text(HEADER + lines)
    (folder / name / "config.json").write_text(
        json.dumps({"task": "vision", "data": "digits", "arch": "mlp"})
    )
    if finished:
        (folder / name / "published.json").write_text("{}")


def test_the_last_value_of_each_column_counts(tmp_path: Path) -> None:
    write_run(tmp_path, "one", "0,19,0.5,\n0,19,,0.8\n1,39,0.25,\n", finished=True)
    (run,) = read_runs(tmp_path)
    assert (run.step, run.epoch, run.finished) == (39, 1, True)
    assert run.metrics == {"train/loss": 0.25, "val/accuracy": 0.8}


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, "one", "0,19,0.5,\n1,3x")
    (run,) = read_runs(tmp_path)
    assert run.step == 19


def test_a_run_that_has_just_begun_has_no_metrics_yet(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new/config.json").write_text('{"task": "vi')
    (tmp_path / "models").mkdir()
    text = render(read_runs(tmp_path))
    assert 'baton_run_finished{run="new"} 0.0' in text
    assert "models" not in text


def test_it_is_served(tmp_path: Path) -> None:
    write_run(tmp_path, 'odd "name"', "0,19,0.5,\n")
    server = make_server(tmp_path, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever).start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
            text = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
    assert r'baton_run_metric{run="odd \"name\"",metric="train/loss"} 0.5' in text
