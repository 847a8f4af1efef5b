"""SPAKE2 and what follows from it: both sides agree exactly where the code is the same and nothing was changed."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spake2.ed25519_basic import Base

from edged.errors import InvalidInput
from edged.records import DeviceKind
from edged.trust.pake import ClientSide, DaemonSide, PairingKeys, agree
from tests.docs import ROOT

VECTORS = json.loads((ROOT / "clients/phone/tests/pairing-vectors.json").read_text(encoding="utf-8"))["vectors"]
"""What clients in other languages are tested with as well."""
KINDS = {1: DeviceKind.PROGRAM, 2: DeviceKind.BROWSER}
FIELD = 2**255 - 19
codes = st.text("0123456789", min_size=6, max_size=6)


def told(keys: PairingKeys, **changed: object) -> bytes:
    said = {
        "attempt_id": "abc",
        "device_name": "phone",
        "kind": DeviceKind.PROGRAM,
        "certificate_request": b"request",
        "seen_fingerprint": bytes(32),
    }
    return keys.client_confirmation(**(said | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["device_name"])
def test_golden_vectors(vector: dict[str, str]) -> None:
    entropy = {side: bytes.fromhex(vector[f"{side}_entropy"]) for side in ("client", "daemon")}
    client = ClientSide(vector["password"], lambda _: entropy["client"])
    daemon = DaemonSide(vector["password"], lambda _: entropy["daemon"])
    assert client.message.hex() == vector["client_message"]
    assert daemon.message.hex() == vector["daemon_message"]
    keys = client.finish(daemon.message)
    assert keys == daemon.finish(client.message)
    assert (keys.client.hex(), keys.daemon.hex()) == (vector["client_key"], vector["daemon_key"])
    assert keys.short_string == vector["short_string"]
    confirmation = keys.client_confirmation(
        attempt_id=vector["attempt_id"],
        device_name=vector["device_name"],
        kind=KINDS[int(vector["kind"])],
        certificate_request=bytes.fromhex(vector["certificate_request"]),
        seen_fingerprint=bytes.fromhex(vector["seen_fingerprint"]),
    )
    assert confirmation.hex() == vector["client_confirmation"]
    ca_certificate = bytes.fromhex(vector["ca_certificate"])
    answer = keys.daemon_confirmation(attempt_id=vector["attempt_id"], ca_certificate=ca_certificate)
    assert answer.hex() == vector["daemon_confirmation"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["device_name"])
def test_openssl_derives_the_same_keys(vector: dict[str, str]) -> None:
    def derived(info: str, length: int) -> bytes:
        options = ["digest:SHA256", f"hexkey:{vector['key']}", f"info:{info}"]
        arguments = [part for option in options for part in ("-kdfopt", option)]
        found = subprocess.run(
            ["openssl", "kdf", "-keylen", str(length), "-binary", *arguments, "HKDF"], capture_output=True, check=True
        )
        return found.stdout

    assert derived("edged pairing client", 32).hex() == vector["client_key"]
    assert derived("edged pairing daemon", 32).hex() == vector["daemon_key"]
    digits = str(int.from_bytes(derived("edged pairing short string", 8), "big"))[-8:].zfill(8)
    assert f"{digits[:4]}-{digits[4:]}" == vector["short_string"]


@settings(max_examples=15, deadline=None)
@given(codes, codes)
def test_only_the_same_code_gives_the_same_keys(one: str, other: str) -> None:
    client, daemon = ClientSide(one), DaemonSide(other)
    ours, theirs = client.finish(daemon.message), daemon.finish(client.message)
    assert (ours == theirs) == (one == other)
    assert agree(told(ours), told(theirs)) == (one == other)
    assert (ours.short_string == theirs.short_string) == (one == other)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 32), st.integers(1, 255), st.booleans())
def test_a_changed_byte_leaves_nothing_in_common(position: int, flip: int, is_from_client: bool) -> None:
    client, daemon = ClientSide("123456"), DaemonSide("123456")
    ours, theirs = (client, daemon) if is_from_client else (daemon, client)
    message = bytearray(ours.message)
    message[position] ^= flip
    try:
        keys = theirs.finish(bytes(message))
    except InvalidInput as exc:
        assert exc.field == "pake_message"
        return
    others = ours.finish(theirs.message)
    assert keys.client != others.client
    assert keys.daemon != others.daemon


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=70))
def test_whatever_arrives_is_refused_in_one_way(message: bytes) -> None:
    with pytest.raises(InvalidInput):
        DaemonSide("123456").finish(message)


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_a_random_element_is_refused_or_leads_nowhere(element: bytes) -> None:
    client, daemon = ClientSide("123456"), DaemonSide("123456")
    try:
        keys = daemon.finish(b"A" + element)
    except InvalidInput:
        return
    assert keys != client.finish(daemon.message)


def test_ones_own_message_sent_back_is_refused() -> None:
    client, daemon = ClientSide("123456"), DaemonSide("123456")
    for side, letter in ((client, b"B"), (daemon, b"A")):
        for reflected in (side.message, letter + side.message[1:]):
            with pytest.raises(InvalidInput):
                side.finish(reflected)


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [0, 1, FIELD - 1, FIELD, FIELD + 1], ids=["0", "1", "-1", "0 again", "1 again"])
def test_elements_that_fix_the_key_are_refused(y: int, sign: int) -> None:
    element = (y + (sign << 255)).to_bytes(32, "little")
    with pytest.raises(InvalidInput):
        DaemonSide("123456").finish(b"A" + element)


def test_an_element_of_the_group_that_is_nobodys_message_leads_nowhere() -> None:
    daemon = DaemonSide("123456")
    keys = daemon.finish(b"A" + Base.to_bytes())
    assert keys.client != ClientSide("123456").finish(daemon.message).client


@pytest.mark.parametrize(
    "changed",
    [
        {"attempt_id": "abd"},
        {"device_name": "phonf"},
        {"kind": DeviceKind.BROWSER},
        {"certificate_request": b"requesu"},
        {"seen_fingerprint": b"\1" + bytes(31)},
        {"attempt_id": "abcp", "device_name": "hone"},
    ],
    ids=lambda changed: " ".join(changed),
)
def test_a_confirmation_covers_all_that_was_said(changed: dict[str, object]) -> None:
    keys = PairingKeys(client=bytes(32), daemon=bytes(32), short_string="0000-0000")
    assert not agree(told(keys), told(keys, **changed))


def test_neither_keys_nor_codes_are_shown() -> None:
    client, daemon = ClientSide("314159"), DaemonSide("314159")
    keys = client.finish(daemon.message)
    shown = f"{keys!r} {client!r}"
    assert keys.client.hex() not in shown
    assert repr(keys.client) not in shown
    assert "314159" not in shown
