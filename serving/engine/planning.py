"""From a profile to a plan: batch size, batches at once, and the rows that are admitted.

Fields that no setting gives follow from the measured curve and from `p99_ms`.
"""

from serving.engine.plan import Plan
from serving.engine.profile import AS_GOOD, AS_MEASURED, Overrides, Point, Profile

# Around its run a request is parsed, scheduled and encoded. That bounds how many a cheap graph can answer.
REQUEST_S = 60e-6
DEFAULT_P99_MS = 1000.0
# Where no limit is set, one client's pool of connections is admitted: a graph of 25 rows a second would else turn
# away the 26th client, which waits gladly.
DEFAULT_ROWS = 64
# Of a graph that nobody could run yet: the queue is planned by this until a request tells.
UNKNOWN_RUN_S = 0.1


def make_plan(
    profile: Profile,
    p99_ms: float | None = None,
    max_batch_size: int | None = None,
    max_queue_rows: int | None = None,
) -> Plan:
    """The plan of a profile; None: not set by anybody.

    As many rows are admitted as can be answered within `p99_ms`, and at least two full batches an instance, so
    that one gathers while the other runs. Without a `p99_ms` from anybody it is `DEFAULT_P99_MS`, and
    `DEFAULT_ROWS` are admitted however long they take.

    Of `max_queue_rows` and `p99_ms` the tighter one rules, where both are set.
    """
    batch, instances = max_batch_size or most_rows(profile), profile.chosen.runs
    preferred = min(batch, profile.chosen.rows)
    if max_queue_rows and p99_ms is None:
        most, within_s, least = max_queue_rows, None, 1
    else:
        within_s = (DEFAULT_P99_MS if p99_ms is None else p99_ms) * 1e-3
        in_time = int(within_s * min(profile.chosen.rows_per_s, 1 / REQUEST_S))
        at_any_pace = max(2 * preferred * instances, DEFAULT_ROWS if p99_ms is None else 0)
        limit = max_queue_rows or max(in_time, at_any_pace)
        most, least = min(limit, max(in_time, at_any_pace)), min(limit, at_any_pace)
    return Plan(profile.inline, instances, batch, preferred, most, within_s, least, max_queue_rows)


def most_rows(profile: Profile) -> int:
    """Rows of a batch where many wait: as many as cost no more by the row than the chosen ones."""
    chosen = profile.chosen
    if profile.inline:
        return chosen.rows
    enough = AS_GOOD * chosen.served_rows_per_s
    same = (
        point.rows
        for point in profile.points
        if (point.threads, point.runs) == (chosen.threads, chosen.runs)
        and point.rows >= chosen.rows
        and point.served_rows_per_s >= enough
    )
    return max(same, default=chosen.rows)


def assume(run_s: float, cpus: int, overrides: Overrides = AS_MEASURED, note: str = "") -> Profile:
    """The profile of a graph that is not measured, of which one row takes `run_s`: rows alone, a thread each."""
    threads = overrides.threads or 1
    runs = max(1, cpus // threads) if overrides.runs is None else overrides.runs
    chosen = Point(threads=threads, runs=max(1, runs), rows=1, seconds=run_s)
    return Profile(points=(), chosen=chosen, alone=None, inline=runs == 0, measured=False, note=note)
