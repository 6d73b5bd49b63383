"""The promises of the Dockerfile that its text shows; `test_image` builds and runs it."""

import re

from scripts.lock import ENVIRONMENTS
from serving.healthcheck import main as healthcheck
from tests.deploy.tools import ROOT, project_version

TEXT = (ROOT / "Dockerfile").read_text()
STAGES = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", TEXT, re.MULTILINE | re.DOTALL))
IMAGES = ("serving", "serving-cuda", "training")


def test_every_image_runs_as_the_fixed_user() -> None:
    for name in ("serving-base", "training"):
        assert re.findall(r"^USER (\S+)$", STAGES[name], re.MULTILINE) == ["10001:10001"], name
    assert "USER" not in STAGES["serving"] + STAGES["serving-cuda"]


def test_no_serving_image_is_built_with_torch() -> None:
    for name in ("serving", "serving-cuda"):
        assert "torch is importable" in STAGES[name]


def test_telemetry_is_off_before_anything_is_imported() -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in STAGES["base"]


def test_the_server_is_process_1_and_hears_sigterm() -> None:
    assert 'ENTRYPOINT ["baton"]' in STAGES["serving-base"]
    assert "STOPSIGNAL SIGTERM" in STAGES["serving-base"]


def test_the_health_check_is_the_module_that_is_there() -> None:
    assert 'CMD ["python", "-m", "serving.healthcheck"]' in STAGES["serving-base"]
    assert healthcheck.__module__ == "serving.healthcheck"


def test_labels_say_what_it_is() -> None:
    for name in IMAGES:
        labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", STAGES[name]))
        assert labels == {"title", "description", "licenses", "version", "revision", "created"}
        assert f"ARG VERSION={project_version()}" in STAGES[name]


def test_the_base_is_pinned_by_digest() -> None:
    assert re.search(r"^ARG PYTHON_IMAGE=\S+:\S+@sha256:[0-9a-f]{64}$", TEXT, re.MULTILINE)
    assert re.findall(r"^FROM (\S+) AS base$", TEXT, re.MULTILINE) == ["${PYTHON_IMAGE}"]


def test_only_what_an_image_is_made_of_goes_to_the_builder() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    copied = re.findall(r"^COPY (?!--from)(\S+) ", TEXT, re.MULTILINE)
    named = {"deploy/locks" if name.startswith("deploy/locks/") else name for name in copied}
    assert {f"!{name}" for name in named} <= set(lines)


def test_the_servers_packages_are_those_of_their_locks_by_digest() -> None:
    for name in ENVIRONMENTS:
        stage = STAGES[f"{name}-environment"]
        assert f"COPY deploy/locks/{name}.txt requirements.txt" in stage
        assert re.findall(r"\$PIP install (.*?) \\", stage) == ["--require-hashes -r requirements.txt"]
