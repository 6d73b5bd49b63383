"""The serving image, built and run: minutes of work, so only where it is asked for.

    BATON_TEST_IMAGE=baton:0.2.0 pytest tests/deploy/test_image.py       an image that is there
    BATON_TEST_IMAGE=build pytest tests/deploy/test_image.py             built first

`BATON_BUILD_FLAGS` are added to the build, for a machine that needs some. The program is podman or docker.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scripts.smoke_test import REFUSED, Clients
from tests.bundles import png, write_brightness
from tests.deploy.conftest import answers, free_port, until
from tests.deploy.tools import ROOT, need, project_version, run

IMAGE = os.environ.get("BATON_TEST_IMAGE", "")
OWN_LAYERS_BYTES = 270_000_000
"""Over the base; `cryptography`, by which signatures are checked, takes 20 million of them."""

pytestmark = pytest.mark.skipif(not IMAGE, reason="BATON_TEST_IMAGE names no image, nor says `build`")


@pytest.fixture(scope="module")
def program() -> str:
    return need("podman", "docker")


@pytest.fixture(scope="module")
def image(program: str) -> str:
    if IMAGE != "build":
        return IMAGE
    flags = shlex.split(os.environ.get("BATON_BUILD_FLAGS", ""))
    run(program, "build", *flags, "--target", "serving", "-t", "baton:under-test", ROOT, timeout_s=1200)
    return "baton:under-test"


@pytest.fixture
def container(program: str, image: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The image as it should be run: read-only, no capabilities, no new privileges. Its id and its URL."""
    write_brightness(tmp_path / "models")
    for folder in (tmp_path, tmp_path / "models"):  # whoever runs inside must be able to read it
        folder.chmod(0o755)
    port = free_port()
    flags = ["--read-only", "--tmpfs", "/tmp", "--cap-drop=ALL", "--security-opt", "no-new-privileges"]  # noqa: S108
    flags += ["--memory", "512m", "--cpus", "1", "-v", f"{tmp_path / 'models'}:/models:ro"]
    name = run(program, "run", "-d", "-p", f"127.0.0.1:{port}:8000", *flags, image).strip()
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{url}/v2/health/ready"), "a ready container")
        yield name, url
    finally:
        subprocess.run([program, "rm", "-f", name], capture_output=True, check=False)


def inside(program: str, name: str, code: str) -> str:
    return run(program, "exec", name, "python", "-c", code).strip()


def test_it_answers_as_the_fixed_user_without_any_right(program: str, container: tuple[str, str]) -> None:
    name, url = container
    answer = httpx.post(
        f"{url}/v1/models/brightness:predict", content=png(250), headers={"content-type": "image/png"}
    )
    assert answer.json()["predictions"][0]["label"] == "bright"
    status = "open('/proc/1/status').read()"
    assert inside(program, name, "import os; print(os.getuid(), os.getgid())") == "10001 10001"
    assert "CapEff:\t0000000000000000" in inside(program, name, f"print({status})")
    assert "NoNewPrivs:\t1" in inside(program, name, f"print({status})")
    assert inside(program, name, "import os; print(os.access('/opt/baton', os.W_OK))") == "False"
    assert "baton\x00serve" in inside(program, name, "print(open('/proc/1/cmdline').read())")
    assert inside(program, name, "import importlib.util as u; print(u.find_spec('torch'))") == "None"
    assert inside(program, name, "import os; print(os.environ['ORT_DISABLE_TELEMETRY'])") == "1"
    metrics = httpx.get(f"{url}/metrics").text
    assert f'version="{project_version()}"' in metrics
    assert "baton_cpus 1.0" in metrics, "threads follow the quota"
    run(program, "exec", name, "python", "-m", "serving.healthcheck")


def test_a_stop_under_load_loses_nothing(program: str, container: tuple[str, str]) -> None:
    name, url = container
    clients = Clients(
        "/v1/models/brightness:predict", png(200), "image/png", lambda _: url.removeprefix("http://"), 8
    )
    with clients.asking():
        until(lambda: clients.ended[200] > 200, "load")
        run(program, "stop", "-t", "40", name)
        until(lambda: clients.ended[REFUSED] > 8, "every client to notice")
    assert not clients.lost, clients.ended
    assert run(program, "inspect", name, "--format", "{{.State.ExitCode}}").strip() == "0"


def test_it_has_the_locale_that_graphs_change_case_in(program: str, image: str) -> None:
    asked = "import locale; print(locale.setlocale(locale.LC_CTYPE, 'en_US.UTF-8'))"
    assert run(program, "run", "--rm", "--entrypoint", "python", image, "-c", asked).strip() == "en_US.UTF-8"


def test_it_is_small_and_says_what_it_is(program: str, image: str) -> None:
    (told,) = json.loads(run(program, "image", "inspect", image))
    labels = told["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == project_version()
    assert told["Config"]["User"] == "10001:10001"
    assert told["Config"]["Entrypoint"] == ["baton"]
    said = f"{os.environ.get('BATON_BUILD_FLAGS', '')}\n{(ROOT / 'Dockerfile').read_text()}"
    base = re.findall(r"PYTHON_IMAGE=(\S+)", said)[0]  # the one that it was built with
    (of_base,) = json.loads(run(program, "image", "inspect", base))
    assert told["Size"] - of_base["Size"] < OWN_LAYERS_BYTES


def test_compose_knows_what_is_in_the_file() -> None:
    """The real program, where there is one, is stricter than the schema."""
    for command in (["docker-compose"], ["docker", "compose"]):
        if (
            shutil.which(command[0])
            and not subprocess.run([*command, "version"], capture_output=True, check=False).returncode
        ):
            run(*command, "-f", ROOT / "docker-compose.yml", "config", "-q")
            return
    pytest.skip("no compose is installed")
