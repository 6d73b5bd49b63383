"""What a `config.pbtxt` says once it is read: versions, and the line in the log."""

import logging
from pathlib import Path

import pytest
from google.protobuf import text_format

from inference.triton.config import VersionPolicy
from inference.triton.fields import CONFIG_FILE
from inference.triton.reading import outline
from tests.inference.triton.files import WHOLE, read
from tests.inference.triton.test_schema import triton_message


def test_our_own_settings_leave_the_file_one_that_triton_reads(tmp_path: Path) -> None:
    read(tmp_path, WHOLE)
    text_format.Parse(WHOLE, triton_message()())


def test_one_line_in_the_log_names_what_has_no_effect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "baton.config"):
        read(tmp_path, WHOLE).log_ignored("cpu")
    (line,) = caplog.messages
    assert line.startswith(f"sum: {CONFIG_FILE}: without effect here: dynamic_batching.max_queue_delay")
    assert "parameters.enable_mem_pattern" in line
    assert "instance_group for another device than cpu" in line


@pytest.mark.parametrize(
    ("text", "policy", "served"),
    [
        ("", None, [7]),
        ("version_policy { latest { } }", VersionPolicy(latest=1), [7]),
        ("version_policy { latest { num_versions: 2 } }", VersionPolicy(latest=2), [3, 7]),
        ("version_policy: {all{}}", VersionPolicy(), [1, 3, 7]),
        (
            "version_policy { specific { versions: [3, 1, 9] } }",
            VersionPolicy(specific=(3, 1, 9)),
            [1, 3],
        ),
        ("version_policy { specific { versions: 9 } }", VersionPolicy(specific=(9,)), []),
    ],
)
def test_a_policy_says_which_versions_are_served(
    tmp_path: Path, text: str, policy: VersionPolicy | None, served: list[int]
) -> None:
    config = read(tmp_path, text)
    assert config.version_policy == policy == outline(tmp_path / "sum").version_policy
    assert config.versions([7, 1, 3]) == served
