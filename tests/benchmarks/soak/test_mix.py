"""The mix has every kind of request, and one seed gives one month."""

from benchmarks.faults.bench import ROOT
from benchmarks.soak.mix import Manner, draws, mix

MODELS = ROOT / "models"


def test_a_seed_gives_the_same_requests_and_another_gives_others() -> None:
    first, second, other = (
        [request.data for request in draws(mix(MODELS, seed), seed, 200)] for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_every_manner_and_every_kind_of_fault_of_a_client_is_in_it() -> None:
    kinds = mix(MODELS, 0)
    assert len({kind.name for kind in kinds}) == len(kinds) > 30
    requests = [request for kind in kinds for request in kind.pool]
    assert {request.manner for request in requests} == set(Manner)
    assert {status for request in requests for status in request.statuses} == {200, 400, 404, 413, 429}
    assert {request.model for request in requests} == {"", "fashion", "photos", "retail", "reviews"}


def test_what_is_cut_off_is_no_whole_request() -> None:
    (kind,) = (kind for kind in mix(MODELS, 0) if kind.name == "cut off in its body")
    for request in kind.pool:
        head, _, body = request.data.partition(b"\r\n\r\n")
        assert body
        assert len(body) < int(head.rpartition(b"Content-Length: ")[2].split()[0])
