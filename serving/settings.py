"""Every setting of the server, with its unit and its reason, in one place.

A field is the flag `--its-name` of `baton serve` and the variable `BATON_ITS_NAME`; a flag wins. Nothing
here is read when the module is imported.
"""

import re
from argparse import Action, ArgumentParser, HelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict

from inference.options import Device, Precision
from serving.listening import TcpAddress, parse_address

MiB = 1 << 20

_HOST = re.compile(r"\*|((\*\.)?[\w-]+(\.[\w-]+)*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", re.ASCII)

DEPRECATED = {"concurrent_runs": "instances", "run_threads": "intra_op_threads"}
"""Older names of settings, which work until 0.3."""


_SIZE = re.compile(r"([0-9]+)\s*([kmgt]i?)?b?", re.IGNORECASE)


def read_size(value: object) -> object:
    """A size as people write it, in bytes: 512MiB, 2GiB, 64MB or a plain number; `ValueError` for other text."""
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise ValueError(f"{value!r} is no size, expected one such as 512MiB, 2GiB or a number of bytes")
    number, prefix = found.groups()
    power = 0 if prefix is None else "kmgt".index(prefix[0].lower()) + 1
    base = 1024 if prefix is not None and prefix[1:] else 1000
    return int(number) * base**power


Size = Annotated[int, BeforeValidator(read_size)]
"""A number of bytes; see `read_size`."""


class Settings(BaseSettings):
    """The settings of `baton serve`; `ValidationError` lists every fault at once."""

    model_config = SettingsConfigDict(
        env_prefix="BATON_",
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    models: Path = Field(Path("models"), description="folder of models: <name>/<version>/model.onnx")
    trust: Path | None = Field(
        None,
        description="public key of minisign, or a folder of them (*.pub): only bundles that one has signed are served",
    )
    host: str = Field(
        "127.0.0.1", description="address to listen on; 0.0.0.0 in a container, :: for IPv6 and IPv4"
    )
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    workers: int = Field(1, ge=1, description="processes behind the port, with the CPUs divided among them")
    worker_timeout_s: float = Field(
        4.0,
        ge=0,
        description="seconds of silence until a worker gets no more connections and is replaced, as one that hangs; "
        "0: never",
    )
    tls_cert: Path | None = Field(
        None, description="certificate chain in PEM: HTTPS, and no HTTP; read again when its file changes"
    )
    tls_key: Path | None = Field(None, description="its key in PEM, not encrypted; goes with --tls-cert")
    tls_ca: Path | None = Field(
        None, description="authorities in PEM: only clients with a certificate of theirs are let in"
    )
    device: Device = Field(
        "cpu",
        description="where graphs run; a device that is not there is a failed start, auto falls back to cpu",
    )
    versions: Literal["latest", "all"] = Field(
        "latest", description="serve each model's newest version, or every one (under /versions/{v})"
    )
    precision: Precision | None = Field(
        None, description="which of a bundle's graphs runs; default: the one its manifest says to serve"
    )
    p99_ms: float | None = Field(
        None,
        gt=0,
        description="milliseconds that 99 % of accepted requests may take; bounds the queue; beside --max-queue-rows "
        "the tighter one rules; default: 1000, and 64 rows are let in however long they take",
    )
    instances: int | None = Field(
        None,
        ge=0,
        description="runs of a model at once in each process; 0: on the event loop, no threads; default: measured",
    )
    intra_op_threads: int | None = Field(
        None, ge=1, description="threads of each run; default: measured, or the CPUs over --instances"
    )
    concurrent_runs: int | None = Field(None, ge=0, description="deprecated: --instances")
    run_threads: int | None = Field(None, ge=1, description="deprecated: --intra-op-threads")
    max_batch_size: int | None = Field(
        None,
        ge=1,
        description="rows of one run at most; default: the manifest's limit, or fewer if more gain nothing",
    )
    max_queue_rows: int | None = Field(
        None,
        ge=1,
        description="rows that are let in and not yet answered, before 429; beside --p99-ms the tighter one rules; "
        "default: from the measured cost and --p99-ms",
    )
    request_timeout_s: float | None = Field(
        None, gt=0, description="seconds until 504 for requests that name no deadline; default: none"
    )
    run_timeout_s: float = Field(
        300.0,
        ge=0,
        description="seconds after which a run of a graph counts as stuck: its worker is replaced, or liveness is 503; "
        "0: never",
    )
    max_body_bytes: Size = Field(
        64 * MiB,
        ge=1,
        description="bytes of a body, before and after decompression, such as 64MiB; over it 413",
    )
    max_inflight_bytes: Size | None = Field(
        None,
        ge=16 * MiB,
        description="bytes that the server may hold for all requests together, such as 2GiB, divided among the "
        "workers; over it 429, or 413 for one that never fits; default: half of the container's memory",
    )
    max_instances: int = Field(
        1024, ge=1, description="instances of one :predict; more than a batch are run in several"
    )
    max_explain_rows: int = Field(
        2048, ge=1, description="rows that one :explain may run: a part of an input costs one; over it 413"
    )
    max_explanations: int = Field(
        16, ge=1, description="requests to :explain under way in a model of each process; over it 429"
    )
    strict_json: bool = Field(
        False,
        description="JSON tensors without NaN and Infinity: refused in requests, null in answers; "
        "else both as Triton's client writes and reads them",
    )
    keep_alive_s: float = Field(
        75.0, gt=0, description="seconds an idle connection lives; longer than the 60 s of common proxies"
    )
    receive_timeout_s: float = Field(
        30.0,
        gt=0,
        description="seconds that a request, or the reading of an answer, may be behind 4 KiB a second, and that a "
        "TLS handshake may take; a request over it is 408, a connection is closed",
    )
    drain_delay_s: float = Field(
        0.0,
        ge=0,
        description="seconds after SIGTERM in which requests are still taken, unready; 5 behind Kubernetes",
    )
    shutdown_timeout_s: float = Field(
        30.0, gt=0, description="seconds that requests in flight get to finish once nothing is accepted"
    )
    strict_readiness: bool = Field(
        False,
        description="ready only if every model in the folder answers; else when one does, and all that once did",
    )
    poll_s: float = Field(
        0.0, ge=0, description="seconds between looks at the folder for new versions; 0 looks only at start"
    )
    drift_window_rows: int = Field(
        1000, ge=0, description="rows that are compared at a time with the bundle's reference; 0: none"
    )
    profile_cache: Path | None = Field(
        None,
        description="folder that keeps the measurements of each model, so that a restart need not measure",
    )
    engine_cache: Path | None = Field(
        None, description="folder that keeps TensorRT's engines, since building one takes minutes"
    )
    root_path: str = Field(
        "", description="path under which a proxy has the server, such as /baton, whether it strips it or not"
    )
    cors_origins: str = Field(
        "",
        description="origins whose pages may ask from a browser, separated by commas; * for all; empty: none",
    )
    allowed_hosts: str = Field(
        "",
        description="host names that requests may be for, separated by commas: NAME, *.NAME, NAME:PORT; * for all; "
        "default: all, but on loopback only names without a dot; IP addresses and localhost always are",
    )
    admin_token: SecretStr | None = Field(
        None, description="bearer token for load and unload, which are refused without one"
    )
    admin_listen: str = Field(
        "",
        description="address of its own for load, unload and diagnostics: IP:PORT, or unix:PATH, where a client needs "
        "no token if none is set; empty: the port of all others",
    )
    api_keys: Path | None = Field(
        None,
        description="file of API keys, one of which each prediction has to show; a line is NAME KEY [rate=N] "
        "[concurrency=N], see `baton key`; read again when it changes; default: no key is asked for",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="form of the log: lines for people, or a JSON object a line"
    )
    access_log: bool = Field(
        False, description="a line for each prediction: status, request id, stages; never a payload"
    )
    payload_log: str = Field(
        "", description="file or http(s) URL for a sample of requests and answers as CloudEvents; empty: none"
    )
    payload_sample: float = Field(
        0.01, ge=0, le=1, description="share of the requests that the payload log keeps"
    )
    payload_raw: bool = Field(
        False, description="log texts, images and tensors themselves; else their SHA-256 and size"
    )
    payload_redact: str = Field(
        "", description="JSON fields that are never logged, at any depth, separated by commas"
    )
    payload_log_bytes: int = Field(
        64 * MiB, ge=1, description="bytes of the payload log's file; full, it becomes FILE.1, which is lost"
    )

    @model_validator(mode="before")
    @classmethod
    def _take_deprecated(cls, given: dict[str, Any]) -> dict[str, Any]:
        """A value under a deprecated name stands under the new one too."""
        taken = {
            new: given[old] for old, new in DEPRECATED.items() if given.get(new) is None and old in given
        }
        return {**given, **taken}

    @field_validator(*DEPRECATED)
    @classmethod
    def _agrees_with_its_new_name(cls, value: int | None, info: ValidationInfo) -> int | None:
        new = DEPRECATED[info.field_name or ""]
        actual = info.data.get(new)
        if value is not None and actual is not None and value != actual:
            raise ValueError(f"--{_flag(new)} is {actual}; expected only one of them, or the same value")
        return value

    def deprecations(self) -> list[str]:
        """A line for the log for each deprecated name that was used."""
        return [
            f"--{_flag(old)} (BATON_{old.upper()}) is deprecated: use --{_flag(new)} (BATON_{new.upper()})"
            for old, new in DEPRECATED.items()
            if getattr(self, old) is not None
        ]

    @field_validator("root_path")
    @classmethod
    def _one_slash_before_and_none_after(cls, path: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._~/-]*", path):
            raise ValueError("expected a path such as /baton")
        inside = path.strip("/")
        return f"/{inside}" if inside else ""

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: str) -> str:
        for origin in listed(origins):
            if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", origin):
                raise ValueError(
                    f"{origin!r} is no origin, expected one such as https://app.example.com, or *"
                )
        return origins

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, hosts: str) -> str:
        for host in listed(hosts):
            if not _HOST.fullmatch(host):
                raise ValueError(
                    f"{host!r} is no host, expected one such as models.example.com, *.example.com or *"
                )
        return hosts

    @field_validator("admin_listen")
    @classmethod
    def _address_that_is_guarded(cls, address: str, info: ValidationInfo) -> str:
        if address and isinstance(parse_address(address), TcpAddress) and not info.data.get("admin_token"):
            raise ValueError("expected --admin-token beside it: only a Unix socket does without")
        return address


def _flag(name: str) -> str:
    return name.replace("_", "-")


def listed(text: str) -> list[str]:
    """The parts of a setting that is a list, separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def read_settings(arguments: Sequence[str]) -> Settings:
    """From the flags of `baton serve` and the environment; `--help` and unknown flags exit."""
    flags: CliSettingsSource[ArgumentParser] = CliSettingsSource(
        Settings, cli_parse_args=list(arguments), cli_prog_name="baton serve", formatter_class=_Help
    )
    return Settings(_cli_settings_source=flags)


class _Help(HelpFormatter):
    """Help without the defaults None and "", which the text of a flag puts in words."""

    def _get_help_string(self, action: Action) -> str:
        return re.sub(r" \(default: (None)?\)$", "", action.help or "")
