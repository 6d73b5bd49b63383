"""The promises of Baton beside its peers, compared with their turns."""

import math
from collections.abc import Mapping, Sequence

from benchmarks.result import Claim, shown
from benchmarks.turns import Bare, Turn
from serving.bench.figures import interval

Turns = Mapping[tuple[str, int], Sequence[Turn]]
"""By a server's label and the number of connections; in one order of rounds."""

# Of the issue that asked for them: ours, theirs (a name without workers: its best; peer: the best of all), model,
# connections, least ratio.
PROMISES = (
    ("baton:1", "triton:1", "tiny", 1, 1.0),
    ("baton:1", "triton:1", "tiny", 16, 1.1),
    ("baton:1", "triton:1", "tiny", 64, 1.2),
    ("baton:2", "triton", "tiny", 64, 1.7),
    ("baton:1", "fastapi:1", "tiny", 64, 3.0),
    *(
        ("baton:1", f"{peer}:1", "tiny", 64, 6.0)
        for peer in ("mlserver", "kserve", "litserve", "bentoml", "mlflow")
    ),
    *(
        ("baton:1", theirs, model, connections, least)
        for model in ("text", "resnet50")
        for theirs, least in (("peer", 1.15), ("session.run", 0.9))
        for connections in (16, 64)
    ),
)  # fmt: skip
TAIL = 2.0
"""p99 over the mean, of `text` and `resnet50` at 64 connections, at most."""


def claims(model: str, turns: Turns) -> list[Claim]:
    """The promises of this model whose both sides were driven."""
    found: list[Claim] = []
    for ours, theirs, of, connections, least in PROMISES:
        rival = best(turns, theirs, connections)
        if of == model and rival and (ours, connections) in turns:
            actual = interval(ratios(turns[ours, connections], turns[rival, connections]))
            meant = "" if theirs == rival else f", {'the best peer' if theirs == 'peer' else 'its best'}"
            text = f"{model}, {connections} connections: {ours} over {rival}{meant}"
            found.append(
                Claim(
                    text=text, expected=f"at least {least}", actual=shown(actual), kept=actual.median >= least
                )
            )
    if model in ("text", "resnet50") and ("baton:1", 64) in turns:
        # In closed loop the mean latency is connections over answers a second (Little's law).
        times = [turn.p99_ms / (64e3 / turn.rate) for turn in turns["baton:1", 64] if turn.rate]
        tail = interval(times or [math.inf])
        found.append(
            Claim(text=f"{model}, 64 connections: p99 of baton:1 over its mean", expected=f"at most {TAIL:g}",
                  actual=shown(tail), kept=tail.median <= TAIL)
        )  # fmt: skip
    return found


def best(turns: Turns, theirs: str, connections: int) -> str | None:
    """The rival's label: itself, its best number of workers, or the best of all peers; if it answered at all."""
    able = [
        label
        for label, number in turns
        if number == connections
        and _rate(turns[label, number])
        and (
            label not in ("baton:1", "baton:2", *Bare.labels)
            if theirs == "peer"
            else theirs in (label, label.split(":")[0])
        )
    ]
    return max(able, key=lambda label: _rate(turns[label, connections]), default=None)


def ratios(ours: Sequence[Turn], theirs: Sequence[Turn]) -> list[float]:
    """Ratios of the rates, round by round; without end if the other never answered."""
    return [a.rate / b.rate for a, b in zip(ours, theirs, strict=True) if b.rate] or [math.inf]


def _rate(turns: Sequence[Turn]) -> float:
    return interval([turn.rate for turn in turns]).median
