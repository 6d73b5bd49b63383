"""What was measured is kept on disk under everything that it depends on."""

import json
from pathlib import Path

import pytest

from serving.engine.profile import HOP_S, Point, Profile, ProfileCache, cache_key


def test_a_kept_profile_is_found_again_and_a_broken_one_is_not(tmp_path: Path) -> None:
    point = Point(threads=1, runs=1, rows=1, seconds=0.5)
    profile, cache = (
        Profile(points=(point,), chosen=point, alone=None, inline=False),
        ProfileCache(tmp_path / "kept"),
    )
    assert cache.get("key") is None
    cache.put("key", profile)
    assert cache.get("key") == profile
    of_before = profile.model_dump(exclude={"alone"})
    (tmp_path / "kept" / "key.json").write_text(json.dumps(of_before))
    assert cache.get("key") is None
    (tmp_path / "kept" / "key.json").write_text("{}")
    assert cache.get("key") is None
    assert ProfileCache(None).get("key") is None


def test_a_profile_kept_under_other_rules_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    key = cache_key("digest", 2)
    assert key == cache_key("digest", 2) != cache_key("digest", 4)
    monkeypatch.setattr("serving.engine.profile.RULES", 0)
    assert key != cache_key("digest", 2)


def test_a_point_tells_its_throughput_without_hops_and_with_them() -> None:
    point = Point(threads=1, runs=2, rows=4, seconds=0.02)
    assert point.rows_per_s == pytest.approx(400)
    assert point.served_rows_per_s == pytest.approx(8 / (0.02 + HOP_S))


def test_a_folder_that_cannot_be_written_costs_only_the_next_measuring(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    point = Point(threads=1, runs=1, rows=1, seconds=0.5)
    profile = Profile(points=(point,), chosen=point, alone=None, inline=False)
    cache = ProfileCache(tmp_path / "file" / "under a file")
    cache.put("key", profile)
    assert cache.get("key") is None
