"""Which addresses may be probed: the policy behind every connection."""

from __future__ import annotations

import asyncio
import socket

import pytest

from services.probe import addresses
from services.probe.addresses import AddressRefused, Resolver, literal, refusal
from services.probe.verdict import LookupFailed

NEVER = [
    "169.254.169.254", "169.254.1.1", "169.254.170.2", "fd00:ec2::254", "fd20:ce::254", "fe80::1",
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "239.255.255.255", "ff02::1",
    "0.1.2.3", "::", "255.255.255.255", "240.0.0.1",
    "0.0.0.0",  # noqa: S104 - refused, not bound
    "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::ffff:0:169.254.169.254",
    "64:ff9b:1::a9fe:a9fe", "::ffff:0.0.0.0", "::169.254.169.254", "::ffff:224.0.0.1",
]  # fmt: skip
LOOPBACK = ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
PRIVATE = ["10.0.0.1", "172.16.0.1", "192.168.1.1", "fd12::1", "100.64.0.1", "::ffff:10.0.0.1", "198.18.0.1"]
PUBLIC = ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9", "64:ff9b::909:909"]


@pytest.mark.parametrize("address", NEVER)
def test_link_local_metadata_multicast_and_unspecified_are_never_probed(address: str) -> None:
    assert refusal(address, {"loopback", "private"})


@pytest.mark.parametrize(("group", "allowance"), [(LOOPBACK, "loopback"), (PRIVATE, "private")])
def test_loopback_and_private_need_their_own_allowance(group: list[str], allowance: str) -> None:
    other = {"loopback", "private"} - {allowance}
    for address in group:
        assert refusal(address, {allowance}) is None, address
        assert f"allow: [{allowance}]" in (refusal(address, other) or ""), address


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_probed(address: str) -> None:
    assert refusal(address, ()) is None


def test_a_teredo_address_counts_as_the_client_it_hides() -> None:
    client = int.from_bytes(socket.inet_aton("127.0.0.1"), "big") ^ 0xFFFFFFFF
    hidden = socket.inet_ntop(
        socket.AF_INET6,
        bytes.fromhex("20010000") + socket.inet_aton("9.9.9.9") + b"\0" * 4 + client.to_bytes(4, "big"),
    )
    assert refusal(hidden, ())


def test_a_literal_is_checked_too() -> None:
    with pytest.raises(AddressRefused, match="metadata"):
        literal("169.254.169.254", 80, frozenset(("loopback", "private")))
    assert literal("example.org", 80, frozenset()) is None


async def test_a_name_with_one_forbidden_address_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_getaddrinfo", lambda _: ["9.9.9.9", "::ffff:169.254.169.254"])
    with pytest.raises(AddressRefused):
        await Resolver(frozenset()).addresses("rebound.example", 443)


async def test_each_connection_asks_again_so_a_rebound_name_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([["9.9.9.9"], ["127.0.0.1"]])
    monkeypatch.setattr(addresses, "_getaddrinfo", lambda _: next(answers))
    resolver = Resolver(frozenset())
    assert [one.sockaddr for one in await resolver.addresses("rebound.example", 443)] == [("9.9.9.9", 443)]
    with pytest.raises(AddressRefused):
        await resolver.addresses("rebound.example", 443)


async def test_lookups_at_one_time_share_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(host: str) -> list[str]:
        asked.append(host)
        return ["9.9.9.9"]

    monkeypatch.setattr(addresses, "_getaddrinfo", answer)
    resolver = Resolver(frozenset())
    found = await asyncio.gather(*(resolver.addresses("example.org", port) for port in (80, 443)))
    assert [one[0].sockaddr[1] for one in found] == [80, 443]
    assert asked == ["example.org"]


async def test_numbers_in_disguise_are_resolved_and_refused() -> None:
    resolver = Resolver(frozenset())
    for host in ("2130706433", "0x7f.1", "127.1", "localhost"):
        with pytest.raises(AddressRefused):
            await resolver.addresses(host, 80)


async def test_a_name_that_does_not_exist_says_so() -> None:
    with pytest.raises(LookupFailed, match=r"dns: no (such name|answer)"):
        await Resolver(frozenset()).addresses("nowhere.invalid", 80)
