"""People who are not friends: who may load, who may predict, whose page may ask, and what they get into a log."""

import hashlib
import json
import re
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.faults.bench import Bench, Response, Server, read_until_silent, statuses
from benchmarks.faults.matrix import Unexpected, case, expect

_TOKEN = "only-for-the-fault-matrix"  # noqa: S105
_LOAD = "/v2/repository/models/reviews/load"
_PREDICT = "/v1/models/reviews:predict"
_BODY = {"instances": ["a good book"]}
_KEY, _OTHER = "0123456789abcdef0123", "fedcba9876543210fedc"


def _admin(token: str = _TOKEN, scheme: str = "Bearer ") -> dict[str, str]:
    return {"Authorization": scheme + token}


def _ask_unix(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(request)
        return read_until_silent(connection)


def _keys(bench: Bench, *lines: str) -> Path:
    file = bench.folder / "keys"
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def _sha256(key: str) -> str:
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def _said(answers: dict[str, Response]) -> str:
    return ", ".join(f"{name}: {answer.status}" for name, answer in answers.items())


@case(
    "`load` with the admin token without its scheme, under another one, wrong, missing, and `bearer` in small letters",
    "401 with `WWW-Authenticate`, 200 for the last; the wrong one in the log with its address, no token",
)
def a_bare_admin_token(bench: Bench) -> str:
    with bench.serve(bench.models("reviews"), "--admin-token", _TOKEN) as server:
        answers = {
            "bare": server.post(_LOAD, {}, headers={"Authorization": _TOKEN}),
            "Basic": server.post(_LOAD, {}, headers=_admin(scheme="Basic ")),
            "wrong": server.post(_LOAD, {}, headers=_admin("guessed-by-somebody")),
            "missing": server.post(_LOAD, {}),
            "small letters": server.post(_LOAD, {}, headers=_admin(scheme="bearer ")),
        }
        *refused, good = answers.values()
        expect(all(a.status == 401 and "www-authenticate" in a.headers for a in refused), _said(answers))
        expect(good.status == 200, _said(answers))
        log = server.log()
        expect("127.0.0.1: admin token: got a wrong one" in log, "no line about the wrong token")
        expect("guessed-by-somebody" not in log and _TOKEN not in log, "a token is in the log")
        return _said(answers)


@case(
    "40 wrong admin tokens one after another, while the right one is used",
    "slowed to a second; the right one at once",
)
def guessing_the_admin_token(bench: Bench) -> str:
    with bench.serve(bench.models("reviews"), "--admin-token", _TOKEN) as server:
        began = time.monotonic()
        for number in range(6):
            server.post(_LOAD, {}, headers=_admin(f"guess-{number}"))
        six_s = time.monotonic() - began
        expect(six_s > 1.5, f"6 wrong tokens took {six_s:.2f} s")
        waiting = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(34)]
        for connection in waiting:
            head = f"POST {_LOAD} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guess\r\nContent-Length: 0\r\n\r\n"
            connection.sendall(head.encode())
        began = time.monotonic()
        right = server.post("/v2/repository/models/none/load", {}, headers=_admin())
        right_s = time.monotonic() - began
        for connection in waiting:
            connection.close()
        expect(right.status == 404 and right_s < 1.0, f"the right one: {right.status} after {right_s:.2f} s")
        return f"6 wrong ones took {six_s:.1f} s, the right one beside 34 of them {right_s * 1e3:.0f} ms"


@case(
    "`load`, `unload` and diagnostics on the main port, with an admin port of its own",
    "403 there, 200 on its own",
)
def administration_on_a_port_of_its_own(bench: Bench) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ("--admin-token", _TOKEN, "--admin-listen", f"127.0.0.1:{port}")
    with bench.serve(bench.models("reviews"), *flags) as server:
        main = {
            "load": server.post(_LOAD, {}, headers=_admin()),
            "diagnostics": server.get("/v2/diagnostics"),
        }
        expect(all(answer.status == 403 for answer in main.values()), _said(main))
        admin = Server(server.process, port, bench.folder / "none")
        own = {
            "load": admin.post(_LOAD, {}, headers=_admin()),
            "without a token": admin.post(_LOAD, {}),
            "diagnostics": admin.get("/v2/diagnostics"),
        }
        expect([a.status for a in own.values()] == [200, 401, 200], _said(own))
        return f"main port: {_said(main)}; its own: {_said(own)}"


@case(
    "a Unix socket for administration where a killed server left its own; SIGTERM",
    "mode 600, answers, gone at the end",
)
def administration_on_a_left_unix_socket(bench: Bench) -> str:
    path = bench.folder / "admin.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with bench.serve(bench.models("reviews"), "--admin-listen", f"unix:{path}") as server:
        mode = path.stat().st_mode & 0o777
        head = f"POST {_LOAD} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()
        seen, main = statuses(_ask_unix(path, head)), server.post(_LOAD, {}).status
        expect((mode, seen, main) == (0o600, [200], 403), f"mode {mode:o}, statuses {seen}, main port {main}")
        status = server.terminate()
        expect(status == 0 and not path.exists(), f"status {status}, the socket is there: {path.exists()}")
        return "mode 600, 200; 403 on the main port; the file is gone after SIGTERM"


@case(
    "an address for administration that is taken, that is a file, or that has no token",
    "the start fails and says so",
)
def an_admin_address_that_cannot_be_had(bench: Bench) -> str:
    models, precious = bench.models("reviews"), bench.folder / "precious"
    precious.write_text("data")
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for why, flags in (
            ("in use", ("--admin-listen", f"127.0.0.1:{port}", "--admin-token", _TOKEN)),
            ("is no socket", ("--admin-listen", f"unix:{precious}")),
            ("expected --admin-token", ("--admin-listen", "127.0.0.1:8001")),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "baton", "serve", "--models", str(models), "--port", "0", *flags],
                cwd=bench.folder, env={"PYTHONPATH": str(bench.checkout), "PATH": "/usr/bin:/bin"},
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            lines = [line for line in (done.stdout + done.stderr).splitlines() if "--admin-listen" in line]
            expect(
                done.returncode != 0 and len(lines) == 1 and why in lines[0],
                f"{flags}: {done.returncode}, {lines}",
            )
            said.append(lines[0])
    expect(precious.read_text() == "data", "the file is gone")
    return "three starts failed with a line each"


@case(
    "predictions without a key, with a wrong one, and by heads that came before",
    "401 in the one error body; with a key 200",
)
def predictions_without_a_key(bench: Bench) -> str:
    keys = _keys(bench, f"alice {_sha256(_KEY)}")
    with bench.serve(bench.models("reviews"), "--api-keys", str(keys)) as server:
        answers = {
            "none": server.post(_PREDICT, _BODY),
            "wrong": server.post(_PREDICT, _BODY, headers=_admin(_OTHER)),
            "bare": server.post(_PREDICT, _BODY, headers=_admin(_KEY, "")),
            "explain": server.post("/v1/models/reviews:explain", _BODY),
            "infer": server.post("/v2/models/reviews/infer", {}),
            "escaped": server.post("/v1/models/%72eviews:predict", _BODY),
        }
        expect(all(a.status == 401 and "API key" in a.error for a in answers.values()), _said(answers))
        good = {
            "Bearer": server.post(_PREDICT, _BODY, headers=_admin(_KEY)),
            "X-API-Key": server.post(_PREDICT, _BODY, headers={"X-API-Key": _KEY}),
            "health": server.get("/v2/health/ready"),
            "metrics": server.get("/metrics"),
        }
        expect(all(a.status == 200 for a in good.values()), _said(good))
        counted = server.metric(r'baton_access_refused_total\{reason="key"\}')
        expect(counted == 6, f"counted {counted:g}")
        return f"{_said(answers)}; {_said(good)}"


@case(
    "a key is taken out of the file while its client keeps a connection; then the file is broken",
    "401 within 3 s; the old keys stay",
)
def a_key_is_taken_back(bench: Bench) -> str:
    keys = _keys(bench, f"alice {_KEY}", f"bob {_OTHER}")
    with bench.serve(bench.models("reviews"), "--api-keys", str(keys)) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)

        def status() -> int:
            connection.request("POST", _PREDICT, json.dumps(_BODY), _admin(_KEY))
            answer = connection.getresponse()
            answer.read()
            return answer.status

        expect(status() == status() == 200, "not 200 with the key")
        keys.write_text(f"bob {_OTHER}\n")
        began = time.monotonic()
        expect(server.wait(lambda: status() == 401, 3.0), "the key is still taken after 3 s")
        took_s = time.monotonic() - began
        keys.write_text("bob short\n")
        expect(
            server.wait(lambda: "the old API keys stay" in server.log(), 3.0), "no line about a broken file"
        )
        expect(server.post(_PREDICT, _BODY, headers=_admin(_OTHER)).status == 200, "the other key is lost")
        connection.close()
        return f"401 after {took_s:.1f} s on the same connection; a broken file changes nothing"


@case(
    "30 requests at once with a key of rate=5, beside another key",
    "429 with Retry-After for it, 200 for the other",
)
def a_client_over_its_rate(bench: Bench) -> str:
    keys = _keys(bench, f"alice {_KEY} rate=5", f"bob {_OTHER}")
    with bench.serve(bench.models("reviews"), "--api-keys", str(keys)) as server:
        began = time.monotonic()
        alice = [server.post(_PREDICT, _BODY, headers=_admin(_KEY)) for _ in range(30)]
        most = 5 + 5 * (time.monotonic() - began) + 1
        bob = [server.post(_PREDICT, _BODY, headers=_admin(_OTHER)).status for _ in range(10)]
        answered = sum(a.status == 200 for a in alice)
        over = [a for a in alice if a.status == 429 and int(a.headers["retry-after"]) >= 1]
        expect(
            5 <= answered <= most and answered + len(over) == 30, f"{answered} answered of at most {most:.0f}"
        )
        expect(bob == [200] * 10, f"the other: {bob}")
        rejected = server.metric(r'baton_requests_total\{.*outcome="rejected".*\}')
        expect(rejected == 0, f"{rejected:g} count as the model's")
        return f"{answered} answered, {len(over)} times 429; the other 10 of 10"


@case(
    "DNS rebinding: a page's own name in `Host`, in a body of every way, on a server of this machine", "421"
)
def dns_rebinding(bench: Bench) -> str:
    body = json.dumps(_BODY).encode()
    with bench.serve(bench.models("reviews")) as server:
        seen: dict[str, list[int]] = {}
        for host in (
            "evil.example",
            f"evil.example:{server.port}",
            "EVIL.example.",
            "127.0.0.1.evil.example",
        ):
            predict = (
                f"POST {_PREDICT} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            models = f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            seen[host] = statuses(server.raw(predict + models))
        expect(all(found == [421, 421] for found in seen.values()), f"{seen}")
        own = [
            server.get("/v1/models", headers={"Host": host}).status
            for host in ("localhost", "127.0.0.1", "[::1]")
        ]
        expect(own == [200] * 3, f"its own names: {own}")
        return "421 for each name of a page, 200 for its own"


@case("a page of another site posts `load` with its visitor's browser", "403; from its own page 200")
def load_from_another_site(bench: Bench) -> str:
    with bench.serve(bench.models("reviews"), "--admin-token", _TOKEN) as server:
        own = f"http://127.0.0.1:{server.port}"
        answers = {
            "Origin": server.post(_LOAD, {}, headers={**_admin(), "Origin": "https://evil.example"}),
            "null": server.post(_LOAD, {}, headers={**_admin(), "Origin": "null"}),
            "Sec-Fetch-Site": server.post(_LOAD, {}, headers={**_admin(), "Sec-Fetch-Site": "cross-site"}),
            "own": server.post(_LOAD, {}, headers={**_admin(), "Origin": own}),
        }
        expect([a.status for a in answers.values()] == [403, 403, 403, 200], _said(answers))
        return _said(answers)


@case(
    "line breaks, escape sequences and marks of direction in a path, an id and an error",
    "no forged line, no byte of them",
)
def a_forged_line_in_the_log(bench: Bench) -> str:
    forged = "2026-01-01 00.00.00,000 INFO baton forged"
    hostile = f"x%0A{forged.replace(' ', '%20')}%1B%5B2J%E2%80%AE%C2%85status=200"
    models = bench.models("reviews")
    for style in ("text", "json"):
        flags = ("--access-log", "--log-level", "debug", "--log-format", style)
        with bench.serve(models, *flags) as server:
            server.post(f"/v1/models/{hostile}:predict", _BODY, headers={"X-Request-Id": "1 status=200"})
            server.raw(b"GET /\x1b[2J HTTP/1.1\r\nHost: x\r\n\r\n")
            expect(server.wait(lambda: "forged" in server.log(), 5.0), "the request has no line")
            log = server.log()
            lines = log.splitlines()
            bad = [line for line in lines if line.startswith(forged) or not line.isprintable()]
            expect(not bad, f"{style}: {bad[:2]!r}")
            if style == "text":
                (line,) = [line for line in lines if "baton.access" in line]
                found = re.findall(r" status=(\d+)", re.sub(r'"[^"]*"', "", line))
                expect(found == ["404"], f"statuses in the line: {found}")
    return "escaped in text and in JSON"


@case(
    "a script that somebody gets into `/docs` or `/`", "a policy that runs no script but their own, by digest"
)
def a_script_in_a_page(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        for path in ("/docs", "/"):
            answer = server.get(path, headers={"Accept": "text/html"})
            policy = answer.headers.get("content-security-policy", "")
            scripts = next((part for part in policy.split(";") if "script-src" in part), "")
            expect(
                "'sha256-" in scripts and "unsafe" not in scripts,
                f"{path}: {scripts or 'no policy for scripts'}",
            )
            expect("frame-ancestors 'none'" in policy, f"{path}: {policy}")
            expect(answer.headers.get("x-content-type-options") == "nosniff", f"{path}: no nosniff")
        return "scripts by digest alone, no frames, nosniff"


@case("two workers: keys, limits, hosts, and administration on a Unix socket", "as one server's", short=False)
def access_with_two_workers(bench: Bench) -> str:
    keys, path = _keys(bench, f"alice {_KEY} concurrency=2"), bench.folder / "admin.sock"
    flags = ("--workers", "2", "--api-keys", str(keys), "--admin-listen", f"unix:{path}")
    with bench.serve(bench.models("reviews"), *flags) as server:
        load = f"POST {_LOAD} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()
        seen = [
            (
                server.post(_PREDICT, _BODY).status,
                server.post(_PREDICT, _BODY, headers=_admin(_KEY)).status,
                server.get("/v1/models", headers={"Host": "evil.example"}).status,
                server.post(_LOAD, {}).status,
                statuses(_ask_unix(path, load)),
            )
            for _ in range(4)
        ]
        if any(one != (401, 200, 421, 403, [200]) for one in seen):
            raise Unexpected(f"{seen}")
        counted = server.metric(r'baton_client_requests_total\{client="alice",outcome="admitted"\}')
        expect(counted == 4, f"counted {counted:g} of 4")
        expect(server.terminate() == 0 and not path.exists(), "the end was not clean")
        return "the same from both workers, counted together"
