#!/usr/bin/env python3
"""Sends letters to real SMTP servers (aiosmtpd) with TLS, login and faults.

usage: real_server.py            needs cargo, openssl and `pip install aiosmtpd`

A server with STARTTLS and one with TLS from the first byte, both of which want
a login; good and wrong passwords, a trusted and an unknown certificate. What
arrives is compared byte by byte and read by Python's email package.
"""

import email
import email.policy
import logging
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import warnings

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

# The servers are meant to be spoken to wrongly; what they say of it is no news.
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")

ROOT = pathlib.Path(__file__).resolve().parents[2]
PASSWORD = "p@ss:w/rd"


class Kept:
    """Keeps what arrives."""

    def __init__(self):
        self.letters = []

    async def handle_DATA(self, server, session, envelope):
        self.letters.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 2.0.0 kept"


def allowed(server, session, envelope, mechanism, login):
    good = login.login == b"me@example.com" and login.password == PASSWORD.encode()
    # Not handled: aiosmtpd itself says 535.
    return AuthResult(success=good, handled=good)


def certificates(folder):
    """An authority and a certificate of its own for localhost."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test", "-days", "2")
    openssl("req", *key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost")
    (folder / "san").write_text("subjectAltName=DNS:localhost")
    openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "san", "-out", "cert.pem")


def main():
    folder = pathlib.Path(tempfile.mkdtemp())
    certificates(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    kept = Kept()
    login = {"authenticator": allowed, "auth_required": True, "hostname": "localhost"}
    starttls = Controller(kept, port=0, tls_context=context, require_starttls=True, **login)
    implicit = Controller(kept, port=0, ssl_context=context, auth_require_tls=False, **login)
    for controller in (starttls, implicit):
        controller.port = free_port()
        controller.start()
    ca = folder / "ca.pem"
    good, wrong = "me%40example.com:p%40ss%3Aw%2Frd", "me%40example.com:wrong"
    plan = []
    for scheme, controller in (("smtp+starttls", starttls), ("smtps", implicit)):
        place = f"localhost:{controller.port}"
        plan += [
            f"{scheme}://{good}@{place} {ca} delivered 250 2.0.0 kept",
            f"{scheme}://{wrong}@{place} {ca} permanent 535",
            f"{scheme}://{place} {ca} permanent 530",
            f"{scheme}://{good}@{place} - transient certificate",
        ]
    # Asked to speak TLS where none is spoken, and the other way round.
    plan.append(f"smtps://{good}@localhost:{starttls.port} {ca} transient at the connection")
    environment = dict(os.environ, RUST_BACKTRACE="0", HOLDPOINT_TEST_SMTP="\n".join(plan))
    command = ["cargo", "test", "--lib", "--", "--ignored", "--nocapture", "--exact",
               "mail::tests::transport::real_servers_with_tls_and_login"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    starttls.stop()
    implicit.stop()
    print("\n".join(line for line in result.stdout.splitlines() if "localhost port" in line), flush=True)
    if result.returncode or "1 passed" not in result.stdout:
        sys.exit(result.stdout[-3000:] + result.stderr[-3000:])
    assert len(kept.letters) == 2, len(kept.letters)
    assert kept.letters[0] == kept.letters[1]
    sender, recipients, content = kept.letters[0]
    assert (sender, recipients) == ("holdpoint@example.com", ["joerg@example.com"])
    sample = ROOT / "target/mail-samples/full.eml"
    if sample.exists():
        assert content == sample.read_bytes(), "what arrived is not what was composed"
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert not message.defects and message.get_content_type() == "multipart/alternative"
    print("2 letters arrived as they were written")


def free_port():
    import socket

    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


if __name__ == "__main__":
    main()
