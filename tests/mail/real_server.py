#!/usr/bin/env python3
"""Sends letters to real SMTP servers (aiosmtpd) with TLS, login and faults.

usage: real_server.py            needs cargo, openssl and `pip install aiosmtpd`

A server with STARTTLS and one with TLS from the first byte, both of which want
a login (PLAIN, LOGIN or XOAUTH2); good and wrong passwords and tokens, a trusted
and an unknown certificate. What arrives is compared byte by byte and read by
Python's email package.
"""

import base64
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


TOKEN = "ya29.token"


class Kept:
    """Keeps what arrives, and lets in who has the token."""

    def __init__(self):
        self.letters = []
        self.ways = []

    async def handle_DATA(self, server, session, envelope):
        self.letters.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 2.0.0 kept"

    async def auth_XOAUTH2(self, server, arguments):
        """As Google describes it: a refusal is a challenge, and then the code."""
        sent = base64.b64decode(arguments[1]).decode()
        if sent == f"user=me@example.com\x01auth=Bearer {TOKEN}\x01\x01":
            self.ways.append("XOAUTH2")
            return AuthResult(success=True)
        await server.challenge_auth(b'{"status":"401"}')
        return AuthResult(success=False, handled=False)


def allowed(server, session, envelope, mechanism, login):
    server.event_handler.ways.append(mechanism)
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
    token = f"me%40example.com:{TOKEN}"
    plan = []
    for scheme, controller in (("smtp+starttls", starttls), ("smtps", implicit)):
        place = f"localhost:{controller.port}"
        plan += [
            f"{scheme}://{good}@{place} auto {ca} delivered 250 2.0.0 kept",
            f"{scheme}://{good}@{place} plain {ca} delivered 250 2.0.0 kept",
            f"{scheme}://{good}@{place} login {ca} delivered 250 2.0.0 kept",
            f"{scheme}://{token}@{place} xoauth2 {ca} delivered 250 2.0.0 kept",
            f"{scheme}://{wrong}@{place} auto {ca} setup refuses the log-in of \"me@example.com\": 535",
            f"{scheme}://{wrong}@{place} login {ca} setup refuses the log-in of \"me@example.com\": 535",
            f"{scheme}://{wrong}@{place} xoauth2 {ca} setup refuses the log-in of \"me@example.com\": 535",
            f"{scheme}://{place} auto {ca} setup 530",
            f"{scheme}://{good}@{place} auto - setup an authority that this machine does not know",
        ]
    # Asked to speak TLS where none is spoken, and the other way round.
    plan.append(f"smtps://{good}@localhost:{starttls.port} auto {ca} setup does not speak TLS here")
    plan.append(f"smtp+starttls://{good}@localhost:{implicit.port} auto {ca} passing write smtps://")
    environment = dict(os.environ, RUST_BACKTRACE="0", HOLDPOINT_TEST_SMTP="\n".join(plan))
    command = ["cargo", "test", "--lib", "--", "--ignored", "--nocapture", "--exact",
               "mail::tests::transport::real_servers_with_tls_and_login"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    starttls.stop()
    implicit.stop()
    print("\n".join(line for line in result.stdout.splitlines() if "localhost port" in line), flush=True)
    if result.returncode or "1 passed" not in result.stdout:
        sys.exit(result.stdout[-3000:] + result.stderr[-3000:])
    assert len(kept.letters) == 8, len(kept.letters)
    assert all(letter == kept.letters[0] for letter in kept.letters)
    assert set(kept.ways) == {"PLAIN", "LOGIN", "XOAUTH2"}, kept.ways
    sender, recipients, content = kept.letters[0]
    assert (sender, recipients) == ("holdpoint@example.com", ["joerg@example.com"])
    sample = ROOT / "target/mail-samples/full.eml"
    if sample.exists():
        assert content == sample.read_bytes(), "what arrived is not what was composed"
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert not message.defects and message.get_content_type() == "multipart/alternative"
    print("8 letters arrived as they were written")


def free_port():
    import socket

    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


if __name__ == "__main__":
    main()
