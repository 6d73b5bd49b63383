"""Host names that are let in, by rule and by default."""

import pytest

from serving.access.hosts import AllowedHosts, allowed_hosts

ALWAYS = (
    b"localhost",
    b"LOCALHOST:8000",
    b"localhost.",
    b"a.localhost:1",
    b"127.0.0.1:8000",
    b"10.1.2.3",
    b"[::1]:8000",
)


def test_addresses_and_localhost_are_let_in_by_every_rule() -> None:
    for hosts in (AllowedHosts(None), AllowedHosts(["models.example.com"])):
        assert [host for host in ALWAYS if not hosts.allow(host)] == []


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        (b"models.example.com", True),
        (b"Models.Example.com:8443", True),
        (b"models.example.com.", True),
        (b"example.com", False),
        (b"xmodels.example.com", False),
        (b"a.b.example.org", True),
        (b"example.org", False),
        (b"badexample.org", False),
        (b"one.example.net:8000", True),
        (b"one.example.net:8001", False),
        (b"one.example.net", False),
        (b"baton", False),
        (b"127.0.0.1.evil.example", False),
        (b"localhost.evil.example", False),
        (b"evil.example#127.0.0.1", False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_names_are_let_in_by_the_rules_that_are_set(host: bytes, allowed: bool) -> None:
    hosts = AllowedHosts(["models.example.com", "*.Example.org", "one.example.net:8000"])
    assert hosts.allow(host) is allowed
    assert hosts.allow(host) is allowed  # from the table
    assert "*.example.org, one.example.net:8000" in hosts.expected()


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        (b"x", True),
        (b"baton:8000", True),
        (b"", True),
        (b"evil.example", False),
        (b"evil.example.:80", False),
    ],
)
def test_without_a_rule_a_name_with_a_dot_is_not_let_in(host: bytes, allowed: bool) -> None:
    assert AllowedHosts(None).allow(host) is allowed


def test_the_table_of_names_is_bounded() -> None:
    hosts = AllowedHosts(None)
    for number in range(1000):
        hosts.allow(b"evil%d.example" % number)
    assert len(hosts._known) <= 256


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "::ffff:127.0.0.1"])
def test_a_server_on_loopback_looks_at_names_unless_it_is_told_not_to(address: str) -> None:
    hosts = allowed_hosts([], address)
    assert hosts is not None
    assert not hosts.allow(b"evil.example")
    assert allowed_hosts(["*"], address) is None


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "models.example.com"])
def test_a_server_for_others_looks_at_names_only_if_it_is_told_to(address: str) -> None:
    assert allowed_hosts([], address) is None
    assert allowed_hosts(["models.example.com"], address) is not None
