"""Profiles that one worker measured serve the others."""

from pathlib import Path

from serving.engine.profile import Point, Profile
from serving.workers.profiles import SharedProfiles

POINT = Point(threads=1, runs=1, rows=1, seconds=1.0)
PROFILE = Profile(points=(POINT,), chosen=POINT, alone=None, inline=False)


def test_a_profile_that_one_worker_measured_another_need_not_measure(tmp_path: Path) -> None:
    one, other = SharedProfiles(None), SharedProfiles(tmp_path)
    one.put("key", PROFILE)
    other.learn(one.fresh())
    assert other.get("key") == PROFILE
    assert not one.fresh()
    assert not other.fresh()


def test_a_profile_measured_here_is_kept_in_the_folder(tmp_path: Path) -> None:
    SharedProfiles(tmp_path).put("key", PROFILE)
    assert SharedProfiles(tmp_path).get("key") == PROFILE
    assert SharedProfiles(None).get("key") is None
