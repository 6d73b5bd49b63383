"""Drift against the bundle's reference: how seldom it is told falsely, how surely truly, and at what cost."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from scipy.stats import chi2

from inference.predictor import Predictor
from inference.store.reference import Histogram
from inference.values import Array, Features, Payload, Tensors
from serving.engine.drift import (
    BURST_WINDOWS,
    FALSE_ALARM_RATE,
    ROWS_A_REQUEST,
    ROWS_A_SECOND,
    Drift,
    chi_square_quantile,
    compare,
)
from tests.bundles import levels, png, write_brightness, write_watched
from tests.serving.servers import ThreadedServer, start

Draw = Callable[[np.random.Generator, int], Array]

LABELS = np.array([30, 20, 15, 10, 8, 6, 5, 3, 2, 1]) / 100

FEATURES: dict[str, Draw] = {
    "skewed": lambda rng, rows: rng.gamma(3.0, 20.0, rows),
    "mostly zero": lambda rng, rows: rng.beta(0.4, 20, rows) * (rng.random(rows) < 0.6),
    "labels": lambda rng, rows: rng.choice(len(LABELS), rows, p=LABELS).astype(float),
    "near one": lambda rng, rows: rng.beta(8, 0.6, rows),
    "almost never": lambda rng, rows: (rng.random(rows) < 0.0005).astype(float),
}


def counts(reference: Histogram, values: Array) -> list[int]:
    places = np.searchsorted(reference.bounds, values)
    found: list[int] = np.bincount(places, minlength=len(reference.counts)).tolist()
    return found


def test_the_quantile_of_chi_square_is_never_below_the_exact_one_in_the_tail() -> None:
    for freedom in (1, 2, 3, 5, 9, 20, 63):
        for rate in (1e-3, 2.5e-4, 1e-4):
            exact = chi2.ppf(1 - rate, freedom)
            assert exact <= chi_square_quantile(1 - rate, freedom) <= exact * 1.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("known", "window", "factor"), [(200, 1000, 2), (1000, 1000, 1), (5000, 1000, 1), (5000, 300, 1)]
)
def test_windows_without_drift_are_significant_as_rarely_as_is_said(
    known: int, window: int, factor: int
) -> None:
    """A reference and a window are drawn alike, again and again, at a rate that can be counted in so many.

    Few rows of a reference make its bounds uncertain, and the rate up to twice as high.
    """
    rate, trials, rng = 0.02, 1000, np.random.default_rng(known + window)
    false = 0
    for _ in range(trials):
        verdicts = []
        for draw in FEATURES.values():
            reference = Histogram.of(draw(rng, known))
            seen = counts(reference, draw(rng, window))
            verdicts.append(compare(reference, seen, rate / len(FEATURES)))
        false += any(verdict.chi_square > verdict.critical for verdict in verdicts)
    noise = 2 * (trials * rate * (1 - rate)) ** 0.5  # of the count itself, in so many trials
    assert false <= factor * rate * trials + noise
    assert false >= rate * trials / 5, "a test that never says anything keeps any promise"


@pytest.mark.slow
def test_windows_without_drift_alarm_at_most_at_the_stated_rate() -> None:
    trials, rng = 3000, np.random.default_rng(0)
    rate, alarms = FALSE_ALARM_RATE / len(FEATURES), 0
    for _ in range(trials):
        pairs = [(Histogram.of(draw(rng, 1000)), draw(rng, 1000)) for draw in FEATURES.values()]
        alarms += any(compare(known, counts(known, values), rate).alarm for known, values in pairs)
    assert alarms <= FALSE_ALARM_RATE * trials


@pytest.mark.parametrize("name", sorted(FEATURES.keys() - {"labels"}))
def test_a_feature_that_has_moved_is_in_alarm(name: str) -> None:
    rng, draw = np.random.default_rng(0), FEATURES[name]
    reference = Histogram.of(draw(rng, 5000))
    moved = draw(rng, 1000) + 0.5 * max(draw(rng, 1000).std(), 0.1)
    assert compare(reference, counts(reference, moved), FALSE_ALARM_RATE).alarm


def test_a_mix_of_labels_that_has_turned_is_in_alarm() -> None:
    rng = np.random.default_rng(0)
    reference = Histogram.of(FEATURES["labels"](rng, 5000))
    turned = 9 - FEATURES["labels"](rng, 1000)
    assert compare(reference, counts(reference, turned), FALSE_ALARM_RATE).alarm


def test_a_small_difference_in_a_large_window_is_no_alarm() -> None:
    rng = np.random.default_rng(0)
    reference = Histogram.of(rng.normal(size=100_000))
    verdict = compare(reference, counts(reference, rng.normal(0.1, 1, 100_000)), FALSE_ALARM_RATE)
    assert verdict.chi_square > verdict.critical
    assert verdict.psi < 0.1
    assert not verdict.alarm


class Stepped:
    """A clock that stands still unless it is told."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    return Predictor.open(write_watched(tmp_path))


def watch(predictor: Predictor, window_rows: int, clock: Stepped) -> Drift:
    assert predictor.reference is not None
    return Drift(predictor.processor, predictor.reference, window_rows, clock)


def exchange(predictor: Predictor, level: int) -> tuple[Features, Tensors]:
    return next(predictor.exchanges([Payload(png(level), "image/png")]))


def test_a_full_window_is_compared_once_and_the_next_begins(predictor: Predictor) -> None:
    drift = watch(predictor, 100, Stepped())
    for level in levels(np.random.default_rng(2), 100):
        assert drift.verdicts == {}
        features, outputs = exchange(predictor, level)
        drift.observe((features,), (outputs,), 1)
    assert (drift.rows, drift.windows, drift.alarms) == (100, 1, 0)
    assert set(drift.verdicts) == {"brightness", "contrast", "label", "confidence"}
    for level in levels(np.random.default_rng(3), 100):
        features, outputs = exchange(predictor, 255 - level)
        drift.observe((features,), (outputs,), 1)
    assert (drift.rows, drift.windows, drift.alarms) == (200, 2, 1)
    assert drift.verdicts["brightness"].alarm
    assert not drift.verdicts["contrast"].alarm


def test_so_many_rows_a_second_are_looked_at_and_no_more(predictor: Predictor) -> None:
    clock = Stepped()
    drift, seen = watch(predictor, 100, clock), exchange(predictor, 40)
    for _ in range(1000):
        drift.observe((seen[0],), (seen[1],), 1)
    assert drift.rows == BURST_WINDOWS * 100
    clock.now_s += 3
    for _ in range(1000):
        drift.observe((seen[0],), (seen[1],), 1)
    assert drift.rows == BURST_WINDOWS * 100 + 3 * ROWS_A_SECOND


def test_of_a_large_request_a_few_rows_are_looked_at_from_all_over_it(predictor: Predictor) -> None:
    drift = watch(predictor, 1000, Stepped())
    rows = [exchange(predictor, level) for level in range(0, 250, 5)]
    tensors = predictor.processor.collate([features.tensors for features, _ in rows])
    outputs = predictor.processor.collate([output for _, output in rows])
    drift.observe((Features(tensors),), (outputs,), len(rows))
    in_one = drift.rows
    assert ROWS_A_REQUEST / 2 < in_one <= ROWS_A_REQUEST
    drift.observe([features for features, _ in rows], [output for _, output in rows], len(rows))
    assert drift.rows == 2 * in_one


def test_a_row_that_cannot_be_summarised_harms_nobody(
    predictor: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    drift = watch(predictor, 100, Stepped())
    drift.observe((Features({}),), ({},), 1)
    assert "could not be summarised" in caplog.text
    assert drift.rows == 0


def drift_of(server: ThreadedServer) -> dict[str, float]:
    """The gauges and counters of drift, by what tells them apart."""
    text = httpx.get(f"{server.url}/metrics").text
    found = re.findall(
        r'^baton_drift_(\w+)\{(?:feature="(\w+)",)?model="\w+".*?\} (\S+)$', text, re.MULTILINE
    )
    return {f"{name} {feature}".strip(): float(value) for name, feature, value in found}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["predict", "infer"])
def test_a_server_tells_inverted_pictures_from_those_it_was_trained_on(tmp_path: Path, way: str) -> None:
    write_watched(tmp_path)
    with start(models=tmp_path, drift_window_rows=150) as server, httpx.Client(base_url=server.url) as client:

        def ask(level: int) -> None:
            if way == "predict":
                answer = client.post(
                    "/v1/models/brightness:predict", content=png(level), headers={"content-type": "image/png"}
                )
            else:
                image = {"name": "image", "shape": [1, 4, 4, 1], "datatype": "UINT8", "data": [level] * 16}
                answer = client.post("/v2/models/brightness/infer", json={"inputs": [image]})
            answer.raise_for_status()

        assert drift_of(server) == {"rows_total": 0, "windows_total": 0, "alarms_total": 0}
        for level in levels(np.random.default_rng(5), 150):
            ask(level)
        usual = drift_of(server)
        assert (usual["windows_total"], usual["alarms_total"], usual["alarm brightness"]) == (1, 0, 0)
        for level in levels(np.random.default_rng(6), 150):
            ask(255 - level)
        turned = drift_of(server)
    assert (turned["windows_total"], turned["alarms_total"]) == (2, 1)
    assert (turned["alarm brightness"], turned["alarm label"], turned["alarm contrast"]) == (1, 1, 0)
    assert turned["psi brightness"] > 10 * usual["psi brightness"]


@pytest.mark.slow
def test_a_model_without_a_reference_has_no_drift_and_neither_has_a_server_told_so(tmp_path: Path) -> None:
    write_brightness(tmp_path / "without")
    write_watched(tmp_path / "with")
    for root, window in (("without", 100), ("with", 0)):
        with start(models=tmp_path / root, drift_window_rows=window) as server:
            assert drift_of(server) == {}
