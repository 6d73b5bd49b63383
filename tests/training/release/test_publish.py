"""A version appears whole or not at all."""

from pathlib import Path

import pytest

from training.errors import RunError
from training.release.publish import staged_version


def test_a_version_appears_at_the_end_of_the_block(tmp_path: Path) -> None:
    with staged_version(tmp_path, "shop", 2) as staged:
        assert staged.name == "2"
        assert staged.parent.name == "shop", "a bundle's folder has its name when it is opened"
        staged.mkdir(parents=True)
        (staged / "card.md").write_text("# Card")
        assert not (tmp_path / "shop" / "2").exists()
    assert (tmp_path / "shop" / "2" / "card.md").read_text() == "# Card"
    assert [entry.name for entry in tmp_path.iterdir()] == ["shop"]


def test_a_version_that_exists_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "shop" / "2").mkdir(parents=True)
    with (
        pytest.raises(RunError, match="2 exists; a published version is never overwritten"),
        staged_version(tmp_path, "shop", 2),
    ):
        pytest.fail("the block ran")


@pytest.mark.parametrize(
    ("error", "raised"), [(OSError("disk full"), RunError), (ValueError("no"), ValueError)]
)
def test_a_block_that_raises_leaves_nothing_behind(
    tmp_path: Path, error: Exception, raised: type[Exception]
) -> None:
    def make() -> None:
        with staged_version(tmp_path, "shop", 1) as staged:
            staged.mkdir(parents=True)
            raise error

    with pytest.raises(raised, match=str(error)):
        make()
    assert [path for path in tmp_path.rglob("*") if path.name != "shop"] == []
