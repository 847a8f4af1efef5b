"""The daemon's own CA, judged by openssl, by TLS handshakes, and by what lies on the disk."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.errors import ConfigError, InvalidInput, StoreError
from edged.trust.addresses import host_name
from edged.trust.authority import Authority
from edged.trust.certificates import requested_key
from tests.trust.desk import certificate_request

HOSTS = ("192.168.7.1", "fe80::1%eth0", "edged-0a1b2c3d.local", "Study.example")
REQUEST = certificate_request()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "trust"


@pytest.fixture
def authority(folder: Path) -> Authority:
    return Authority.open(folder, "study")


def openssl(*arguments: str | Path, expected: int = 0) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stderr + done.stdout
    return done.stdout + done.stderr


def pem_of_client(authority: Authority, file: Path, expires_at: datetime | None = None) -> Path:
    der = authority.client_certificate(REQUEST, device_id="dev1ce", expires_at=expires_at)
    file.write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    return file


def test_openssl_takes_each_certificate_for_its_purpose_alone(
    authority: Authority, folder: Path, tmp_path: Path
) -> None:
    server = tmp_path / "server.pem"
    server.write_bytes(authority.server_identity(HOSTS).certificate_pem)
    client = pem_of_client(authority, tmp_path / "client.pem")
    for certificate, good, bad in ((server, "sslserver", "sslclient"), (client, "sslclient", "sslserver")):
        verify = ("verify", "-x509_strict", "-CAfile", folder / "ca.crt", "-purpose")
        assert "OK" in openssl(*verify, good, certificate)
        assert "unsuitable certificate purpose" in openssl(*verify, bad, certificate, expected=2)


def test_a_paired_device_cannot_issue(authority: Authority, folder: Path, tmp_path: Path) -> None:
    client = pem_of_client(authority, tmp_path / "client.pem")
    assert "CA:FALSE" in openssl("x509", "-in", client, "-noout", "-ext", "basicConstraints")
    text = openssl("x509", "-in", folder / "ca.crt", "-noout", "-text")
    assert "CA:TRUE, pathlen:0" in text
    assert f"CN = edged study CA {authority.short_id}" in text
    assert "Certificate Sign" in text


def test_a_server_has_all_its_names(authority: Authority, tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    file.write_bytes(authority.server_identity(HOSTS).certificate_pem)
    for host in ("edged", "localhost", "edged-0a1b2c3d.local", "study.example", f"{host_name()}.local", host_name()):
        assert "does match" in openssl("x509", "-in", file, "-noout", "-checkhost", host)
    for ip in ("127.0.0.1", "::1", "192.168.7.1", "fe80::1"):
        assert "does match" in openssl("x509", "-in", file, "-noout", "-checkip", ip)
    assert "does NOT match" in openssl("x509", "-in", file, "-noout", "-checkhost", "other.example")


def test_a_clients_subject_is_the_device_and_nothing_it_asked_for(authority: Authority, tmp_path: Path) -> None:
    text = openssl("x509", "-in", pem_of_client(authority, tmp_path / "client.pem"), "-noout", "-text")
    assert "Subject: CN = dev1ce\n" in text
    assert "whatever" not in text
    assert "Alternative Name" not in text


def test_the_fingerprint_is_the_one_that_openssl_shows(authority: Authority, tmp_path: Path) -> None:
    identity = authority.server_identity([])
    file = tmp_path / "server.pem"
    file.write_bytes(identity.certificate_pem)
    assert (
        openssl("x509", "-in", file, "-noout", "-fingerprint", "-sha256").strip().endswith("=" + identity.fingerprint)
    )


def test_a_handshake_of_both_sides(authority: Authority, folder: Path, tmp_path: Path) -> None:
    """In memory, with a certificate made from a request of openssl's own."""
    authority.server_identity([])
    key_file, request_file = tmp_path / "device.key", tmp_path / "device.csr"
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=me",
            "-keyout", key_file, "-outform", "DER", "-out", request_file)  # fmt: skip
    der = authority.client_certificate(request_file.read_bytes(), device_id="me", expires_at=None)
    (tmp_path / "device.pem").write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.crt"))
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(folder / "server.crt", folder / "server.key")
    client = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    client.load_cert_chain(tmp_path / "device.pem", key_file)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours, theirs = client.wrap_bio(down, up, server_hostname="edged"), server.wrap_bio(up, down, server_side=True)
    left = [ours, theirs]
    for _ in range(10):
        for side in list(left):
            try:
                side.do_handshake()
                left.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not left
    assert ours.version() == "TLSv1.3"


def test_keys_are_private_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        Authority.open(folder, "study").server_identity([])
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {file.name for file in folder.iterdir()} == {"ca.key", "ca.crt", "server.key", "server.crt"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert [file.name for file in folder.parent.iterdir()] == ["trust"]


def test_it_stays_the_same(folder: Path, authority: Authority) -> None:
    identity = authority.server_identity(HOSTS)
    again = Authority.open(folder, "another name")
    assert again.certificate == authority.certificate
    assert again.server_identity(HOSTS) == identity
    assert again.server_identity(HOSTS[:1]) == identity  # a name that is not needed does no harm
    assert "key_pem" not in repr(identity)


def test_a_new_name_makes_a_new_certificate(authority: Authority) -> None:
    identity = authority.server_identity(HOSTS)
    other = authority.server_identity((*HOSTS, "10.0.0.9"))
    assert other.fingerprint != identity.fingerprint
    assert other.key_pem != identity.key_pem


def test_it_is_renewed_in_time_and_lives_no_longer_than_browsers_take(folder: Path) -> None:
    start = datetime.now(UTC)
    times = [start]
    authority = Authority.open(folder, "study", now=lambda: times[-1])
    first = authority.server_identity([])
    certificate = x509.load_pem_x509_certificate(first.certificate_pem)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < timedelta(days=398)
    times.append(certificate.not_valid_after_utc - timedelta(days=31))
    assert authority.server_identity([]) == first
    times.append(certificate.not_valid_after_utc - timedelta(days=29))
    assert authority.server_identity([]) != first


def test_a_clock_that_was_wrong_is_seen(folder: Path) -> None:
    Authority.open(folder, "study")
    with pytest.raises(StoreError, match="set the clock"):
        Authority.open(folder, "study", now=lambda: datetime(2001, 1, 1, tzinfo=UTC))
    with pytest.raises(StoreError, match="has expired"):
        Authority.open(folder, "study", now=lambda: datetime(2101, 1, 1, tzinfo=UTC))


def test_torn_server_files_are_made_anew(folder: Path, authority: Authority) -> None:
    identity = authority.server_identity([])
    other = authority.server_identity(["10.0.0.9"])
    for name, content in (("server.crt", identity.certificate_pem), ("server.key", b""), ("server.crt", b"\0\xff")):
        (folder / name).write_bytes(content)
        anew = authority.server_identity([])
        assert anew.fingerprint not in (identity.fingerprint, other.fingerprint)
        key = load_pem_private_key(anew.key_pem, password=None)
        assert key.public_key() == x509.load_pem_x509_certificate(anew.certificate_pem).public_key()
    (folder / "server.key").unlink()
    assert authority.server_identity([]).fingerprint != anew.fingerprint


def test_another_authority_makes_another_server(folder: Path, authority: Authority, tmp_path: Path) -> None:
    identity = authority.server_identity([])
    other = tmp_path / "other"
    strange = Authority.open(other, "study")
    for name in ("server.key", "server.crt"):
        (other / name).write_bytes((folder / name).read_bytes())
        (other / name).chmod(0o600)
    assert strange.server_identity([]) != identity


@pytest.mark.parametrize("content", [b"", b"-----BEGIN", b"\0" * 100, b"\xff" * 200_000], ids=len)
@pytest.mark.parametrize("name", ["ca.key", "ca.crt"])
def test_damaged_files_say_what_to_do(folder: Path, authority: Authority, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(StoreError, match="damaged: put both back") as caught:
        Authority.open(folder, "study")
    assert str(folder / name) in caught.value.message
    assert "\n" not in caught.value.message


def test_the_pair_of_another_daemon_is_damage(folder: Path, authority: Authority, tmp_path: Path) -> None:
    Authority.open(tmp_path / "other", "study")
    (folder / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    with pytest.raises(StoreError, match="damaged"):
        Authority.open(folder, "study")


@pytest.mark.parametrize("name", ["ca.key", "ca.crt"])
def test_a_missing_file_is_never_replaced_silently(folder: Path, authority: Authority, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(StoreError, match=f"{name} is missing: put it back"):
        Authority.open(folder, "study")


def test_a_key_that_others_can_read_is_refused(folder: Path, authority: Authority) -> None:
    authority.server_identity([])
    for name in ("ca.key", "server.key"):
        (folder / name).chmod(0o640)
        with pytest.raises(StoreError, match=f"chmod 600 .*{name}"):
            Authority.open(folder, "study").server_identity([])
        (folder / name).chmod(0o600)
    folder.chmod(0o750)
    with pytest.raises(StoreError, match="chmod 700"):
        Authority.open(folder, "study")


def test_another_accounts_key_is_refused(folder: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(StoreError, match="belongs to another account"):
        Authority.open(folder, "study")


def test_what_is_no_file_is_refused(folder: Path, authority: Authority, tmp_path: Path) -> None:
    (folder / "ca.key").rename(tmp_path / "ca.key")
    (folder / "ca.key").symlink_to(tmp_path / "ca.key")
    with pytest.raises(StoreError, match="cannot be used"):
        Authority.open(folder, "study")
    (folder / "ca.key").unlink()
    os.mkfifo(folder / "ca.key", 0o600)
    with pytest.raises(StoreError, match="is no file"):
        Authority.open(folder, "study")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is no folder"):
        Authority.open(tmp_path / "file", "study")


def test_of_many_that_start_at_once_all_have_the_same(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: Authority.open(folder, "study").certificate, range(16)))
    assert len(made) == 1
    assert [file.name for file in folder.parent.iterdir()] == ["trust"]


def test_validity_of_devices(authority: Authority) -> None:
    now = datetime.now(UTC)

    def end(expires_at: datetime | None) -> datetime:
        der = authority.client_certificate(REQUEST, device_id="dev1ce", expires_at=expires_at)
        return x509.load_der_x509_certificate(der).not_valid_after_utc

    assert timedelta(days=729) < end(None) - now < timedelta(days=731)
    assert abs(end(now + timedelta(days=3)) - now - timedelta(days=3)) < timedelta(minutes=1)
    ca = x509.load_der_x509_certificate(authority.certificate)
    assert end(now + timedelta(days=365 * 80)) == ca.not_valid_after_utc
    with pytest.raises(InvalidInput):
        end(now - timedelta(seconds=1))


def test_an_expired_device_does_not_verify(folder: Path, authority: Authority, tmp_path: Path) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    client = pem_of_client(authority, tmp_path / "client.pem", expires_at=soon)
    later = str(int((soon + timedelta(hours=1)).timestamp()))
    told = openssl("verify", "-attime", later, "-CAfile", folder / "ca.crt", client, expected=2)
    assert "certificate has expired" in told


@pytest.mark.parametrize("host", ["", "two words", "a..b", "münchen", "x" * 64, "*.example", "1.2.3.4.5%%", "a\nb"])
def test_hosts_that_no_certificate_can_hold(authority: Authority, host: str) -> None:
    with pytest.raises(ConfigError, match=r"lan\.hosts"):
        authority.server_identity([host])


@pytest.mark.parametrize("name", ["", "书房", "ü" * 100, "a\nb", "x" * 300])
def test_any_name_of_a_daemon_is_taken(folder: Path, name: str) -> None:
    subject = x509.load_der_x509_certificate(Authority.open(folder, name).certificate).subject
    assert subject.rfc4514_string().startswith("CN=edged ")


def test_requests_that_are_not_for_us(authority: Authority) -> None:
    wrong = {
        "P-256": certificate_request(ec.SECP384R1()),
        "longer": REQUEST + bytes(5000),
        "PKCS #10": REQUEST + b"\0",
        "own key": REQUEST[:-3] + bytes([REQUEST[-3] ^ 1]) + REQUEST[-2:],
    }
    for told, request in wrong.items():
        with pytest.raises(InvalidInput, match=told) as caught:
            authority.client_certificate(request, device_id="dev1ce", expires_at=None)
        assert caught.value.field == "certificate_request"


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(REQUEST) - 1), st.integers(1, 255))
def test_a_changed_request_is_for_no_other_key(position: int, flip: int) -> None:
    changed = bytearray(REQUEST)
    changed[position] ^= flip
    try:
        key = requested_key(bytes(changed))
    except InvalidInput:
        return
    assert key == requested_key(REQUEST)  # a bit of the encoding that nobody signs


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_garbage_is_no_request(request: bytes) -> None:
    with pytest.raises(InvalidInput):
        requested_key(request)
