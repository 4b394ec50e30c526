"""TLS, and what the daemon refuses to open."""

import datetime
import ipaddress
import os
import signal
import stat

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from foreign import Refused
from house import ended
from team import Team


def make_certificates(folder):
    """A CA and a server's certificate that it signed; both without a mark on this machine."""
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)

    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def begin(subject, issuer, key):
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
        )

    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = (
        begin("Test CA", "Test CA", ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM

    def signed(subject, names):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            begin(subject, "Test CA", key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        form = serialization.PrivateFormat.PKCS8
        private = key.private_bytes(pem, form, serialization.NoEncryption())
        return certificate.public_bytes(pem), private

    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    servers = signed("localhost", [x509.DNSName("localhost"), address])
    (folder / "ca.crt").write_bytes(ca.public_bytes(pem))
    (folder / "server.crt").write_bytes(servers[0])
    (folder / "server.key").write_bytes(servers[1])
    # A client's certificate for each kind of name.
    uri, mail = "spiffe://corp/gateway", "zoe@example.com"
    for client, names in {
        "gateway": [x509.UniformResourceIdentifier(uri)],
        "zoe": [x509.RFC822Name(mail)],
        "stranger": [x509.DNSName("stranger.example.com")],
    }.items():
        certificate, key = signed(client, names)
        (folder / f"{client}.crt").write_bytes(certificate)
        (folder / f"{client}.key").write_bytes(key)
    return folder / "ca.crt"


TLS = ('tls_cert_file = "server.crt"', 'tls_key_file = "server.key"')


@pytest.fixture
def secure():
    team = Team()
    team.ca = make_certificates(team.state)
    team.configure('listen = "0.0.0.0:0"', *TLS)
    yield team.start()
    team.end()


def test_a_call_over_tls_beyond_loopback(secure):
    port = secure.tcp().rpartition(":")[2]
    assert secure.tcp().startswith("https://0.0.0.0:")
    address, root = f"https://localhost:{port}", secure.ca.read_bytes()
    proxy = secure.client(secure.tokens["proxy"], address, root=root)
    ben = secure.client(secure.tokens["ben"], address, root=root)
    asking = proxy.submit("one", tool="write", timeout_ms=60_000)
    request = None
    while request is None:
        request = next(iter(ben.pending()), None)
    ben.decide(request)
    proxy.take(asking.result(), "one")
    # Who does not know the CA does not get in, and no token leaves the client.
    stranger = secure.client(secure.tokens["proxy"], address, root=None)
    with pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(stranger.channel).result(timeout=2)


def test_the_command_line_over_tls(secure):
    port = secure.tcp().rpartition(":")[2]
    where = {
        "HOLDPOINT_SERVER": f"https://localhost:{port}",
        "HOLDPOINT_STATE_DIR": str(secure.home / "elsewhere"),
        "HOLDPOINT_CA": str(secure.ca),
    }
    done = secure.run("whoami", HOLDPOINT_TOKEN=secure.tokens["ana"], **where)
    assert done.code == 0 and "ana" in done.out
    asking = secure.begin(
        "request", "--server", "files", "--tool", "write", HOLDPOINT_TOKEN=secure.tokens["proxy"], **where
    )
    token = secure.home / "ben.token"
    token.write_text(secure.tokens["ben"] + "\n")
    secure.variables.update(where, HOLDPOINT_TOKEN_FILE=str(token))
    secure.approve(secure.held()[0])
    assert ended(asking).code == 0
    # Without the CA: refused, with what to do, and without the token.
    done = secure.run("pending", HOLDPOINT_CA=None)
    assert done.code == 13 and "HOLDPOINT_CA" in done.err
    assert secure.tokens["ben"] not in done.out + done.err


CERTIFIED = """
[[callers]]
name = "gateway"
certificate_names = ["spiffe://corp/gateway"]

[[operators]]
name = "zoe"
groups = ["ops"]
certificate_names = ["zoe@example.com"]
"""


def test_a_client_certificate_is_who_one_is():
    team = Team()
    ca = make_certificates(team.state)
    listen = 'listen = "127.0.0.1:0"'
    team.configure(listen, *TLS, 'tls_client_ca_file = "ca.crt"', CERTIFIED).start()

    def client(name, token=None):
        pair = [(team.state / f"{name}.{end}").read_bytes() for end in ("crt", "key")]
        return team.client(token, team.tcp(), root=ca.read_bytes(), certificate=pair)

    try:
        gateway, zoe = client("gateway"), client("zoe")
        asking = gateway.submit("one", tool="write", timeout_ms=60_000)
        request = None
        while request is None:
            request = next(iter(zoe.pending()), None)
        decided = zoe.decide(request)
        strength = zoe.contract.name("Strength", decided.decisions[0].strength)
        assert (decided.decisions[0].operator, strength) == ("zoe", "STRENGTH_CERTIFICATE")
        gateway.take(asking.result(), "one")
        with pytest.raises(Refused) as refused:
            client("stranger").pending()
        assert refused.value.reason == "BAD_TOKEN" and "stranger.example.com" in refused.value.message
        with pytest.raises(Refused) as refused:
            client("zoe", team.tokens["ana"]).pending()
        assert refused.value.reason == "BAD_TOKEN" and "ana" in refused.value.message
    finally:
        team.end()


def test_a_token_does_not_travel_in_clear_text(secure):
    token = secure.tokens["ana"]
    done = secure.run("whoami", HOLDPOINT_SERVER="http://198.51.100.7:4653", HOLDPOINT_TOKEN=token, within=20)
    assert done.code != 0 and token not in done.out + done.err
    assert "https" in done.err, done


def refuses_to_start(house, *needed, **environment):
    done = house.run("serve", within=20, **environment)
    assert done.code == 2, done
    for word in needed:
        assert word in done.err, done
    assert not (house.state / "holdpoint.sock").exists()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:4653"])
def test_beyond_loopback_without_identities_and_tls_it_does_not_start(empty, address):
    refuses_to_start(empty, "listen", "[[operators]]", "tls_cert_file", HOLDPOINT_LISTEN=address)


def test_beyond_loopback_without_tls_it_does_not_start():
    team = Team().configure('listen = "0.0.0.0:0"')
    try:
        refuses_to_start(team, "listen", "unencrypted", "tls_cert_file")
    finally:
        team.end()


def test_beyond_loopback_without_identities_it_does_not_start(empty):
    make_certificates(empty.state)
    lines = "\n".join(['listen = "0.0.0.0:0"', *TLS])
    (empty.state / "holdpoint.toml").write_text(lines)
    refuses_to_start(empty, "listen", "[[operators]]")


@pytest.mark.parametrize(
    "line, word",
    [
        ('lisen = "127.0.0.1:4653"', "listen"),
        ("default_timeout = 15", "default_timeout"),
        ("[[callers]]", "name"),
        ("listen = ", "TOML"),
    ],
)
def test_a_mistake_in_the_file_keeps_it_closed_and_is_named(empty, line, word):
    (empty.state / "holdpoint.toml").write_text(line + "\n")
    refuses_to_start(empty, "holdpoint.toml", word)


def test_a_stale_socket_is_replaced_and_a_second_daemon_is_not(house):
    second = house.run("serve", within=20)
    assert second.code != 0 and "another" in second.err.lower(), second
    assert house.local("operator").health() == "SERVING"
    house.kill(signal.SIGKILL)
    assert (house.state / "holdpoint.sock").exists(), "left behind"
    house.start()
    assert house.json("pending") == []


def test_files_and_folder_are_their_owner_s_alone(house):
    assert stat.S_IMODE(os.stat(house.state).st_mode) == 0o700
    for path in house.state.rglob("*"):
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        assert mode & 0o077 == 0, f"{path} is {mode:o}"


def test_a_state_path_too_long_for_a_socket_says_what_to_do(empty):
    deep = empty.dir / ("d" * 100)
    done = empty.run("serve", HOLDPOINT_STATE_DIR=str(deep), within=20)
    assert done.code != 0 and "--state-dir" in done.err, done


def test_a_database_from_a_newer_version_is_not_touched(house):
    import sqlite3

    house.kill(signal.SIGTERM)
    path = house.state / "holdpoint.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 999")
    database.close()
    before = path.read_bytes()
    done = house.run("serve", within=20)
    assert done.code != 0 and "newer" in done.err, done
    assert path.read_bytes() == before


def test_sigterm_ends_it_well_and_says_so(house):
    assert house.kill(signal.SIGTERM) == 0
    assert not (house.state / "holdpoint.sock").exists()
    house.start()
    kinds = [entry["kind"] for entry in house.json("audit", "--asc")]
    assert kinds[:2] == ["daemon_started", "daemon_stopped"], kinds


def test_local_mode_says_what_it_does_not_protect_against(house):
    assert "local mode" in house.said()
