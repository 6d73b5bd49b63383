"""docker-compose.yml: against the specification's schema, and the server that it starts."""

import re
import sys
from typing import Any

import pytest
import yaml

from serving.settings import Settings
from tests.deploy.tools import ROOT, project_version, run

FILE = ROOT / "docker-compose.yml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return content


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]
    return found


def test_it_is_what_the_specification_allows() -> None:
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE)


def test_every_variable_of_the_server_is_one_of_its_settings(services: dict[str, Any]) -> None:
    for name in ("server", "server-gpu"):
        known = {f"BATON_{field.upper()}" for field in Settings.model_fields}
        given = {key for key in services[name]["environment"] if key.startswith("BATON_")}
        assert given <= known


def test_images_carry_the_projects_version(services: dict[str, Any]) -> None:
    ours = [service["image"] for service in services.values() if "build" in service]
    assert len(ours) == 4
    assert all(f"${{BATON_VERSION:-{project_version()}}}" in image for image in ours)
    others = [service["image"] for service in services.values() if "build" not in service]
    assert all(re.search(r":v?\d+\.\d+\.\d+$", image) for image in others), others


def test_the_targets_are_in_the_dockerfile(services: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for service in services.values():
        if "build" in service:
            assert f" AS {service['build']['target']}\n" in dockerfile


def test_every_mounted_file_of_the_repository_exists(services: dict[str, Any]) -> None:
    made = {"./models", "./data", "./runs"}
    sources = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    ours = {source for source in sources if source.startswith("./")} - made
    assert ours
    assert not [source for source in ours if not (ROOT / source).exists()]


def test_a_container_gets_longer_to_stop_than_the_server_takes_to_drain(services: dict[str, Any]) -> None:
    settings = Settings()
    grace_s = int(services["server"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > settings.drain_delay_s + settings.shutdown_timeout_s


def test_every_service_is_locked_down_and_limited(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name


def test_nothing_listens_beyond_this_machine(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_start_waits_for_a_healthy_server(services: dict[str, Any]) -> None:
    assert services["prometheus"]["depends_on"]["server"]["condition"] == "service_healthy"
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()


def test_prometheus_looks_for_the_servers_by_the_names_that_they_have(services: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    found = [sd for job in config["scrape_configs"] for sd in job.get("dns_sd_configs", [])]
    assert {name for sd in found for name in sd["names"]} == {"server", "server-gpu", "runs"} <= set(services)
