"""A Postfix of our own: TLS, log-in, one Maildir for each address. It runs in a
folder of its own beside any that the machine has, and needs root, as Postfix does.
"""

import email
import email.policy
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile

from house import until

USER, PASSWORD = "holdpoint", "p@ss:w/rd"
DOMAIN = "example.com"
# Who gets mail here; nobody else does.
BOXES = ("holdpoint", "ana", "ben", "eve")
# Whom Maildirs belong to.
NOBODY = pwd.getpwnam("nobody").pw_uid

MASTER = """
127.0.0.1:{starttls} inet n - n - - smtpd
127.0.0.1:{implicit} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
proxymap  unix - - n - - proxymap
retry     unix - - n - - error
error     unix - - n - - error
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
myhostname = localhost
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = regexp:{dir}/boxes
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
smtpd_tls_cert_file = {dir}/cert.pem
smtpd_tls_key_file = {dir}/key.pem
smtpd_tls_security_level = encrypt
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {dir}/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_client_connection_count_limit = 50
"""

SASL = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {dir}/sasldb
mech_list: PLAIN LOGIN
"""


class Postfix:
    """Started by `start`; `kill` ends it as a power cut would."""

    def __init__(self):
        assert os.geteuid() == 0, "Postfix needs root"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hp-postfix-"))
        self.dir.chmod(0o755)
        self.starttls, self.implicit = free_port(), free_port()
        for name in ("spool", "data", "mail", "sasl"):
            (self.dir / name).mkdir()
        shutil.chown(self.dir / "data", "postfix")
        shutil.chown(self.dir / "mail", NOBODY, NOBODY)
        self.write("boxes", "".join(f"/^{name}@{DOMAIN}$/ {name}/\n" for name in BOXES))
        names = dict(dir=self.dir, domain=DOMAIN, nobody=NOBODY)
        self.write("main.cf", MAIN.format(**names))
        self.write("master.cf", MASTER.format(starttls=self.starttls, implicit=self.implicit))
        self.write("sasl/smtpd.conf", SASL.format(**names))
        self.password(PASSWORD)
        self.certificate()

    def write(self, name, text):
        (self.dir / name).write_text(text)

    def password(self, password):
        """Sets the password of the one user."""
        command = ["saslpasswd2", "-p", "-c", "-f", self.dir / "sasldb", "-u", "localhost", USER]
        subprocess.run(command, input=password.encode(), check=True, capture_output=True)
        shutil.chown(self.dir / "sasldb", "postfix")

    def certificate(self):
        """An authority, and a certificate of it for localhost."""

        def openssl(*arguments):
            command = ["openssl", *arguments]
            subprocess.run(command, cwd=self.dir, check=True, capture_output=True)

        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self.write("san", "subjectAltName=DNS:localhost")
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test", "-days", "2")
        openssl("req", *key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost")
        openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", "san", "-out", "cert.pem")

    def start(self):
        # Its own start command makes the folders of the spool first.
        # After a kill its own check of the spool may need a second look.
        until(lambda: self.postfix("start"), "Postfix starts")
        until(lambda: answers(self.starttls), "Postfix answers")
        return self

    def postfix(self, verb):
        command = ["postfix", "-c", self.dir, verb]
        return subprocess.run(command, capture_output=True).returncode == 0

    def log(self):
        log = self.dir / "log"
        return log.read_text() if log.exists() else ""

    def kill(self):
        """Ends every process of this instance at once."""
        self.signal("KILL")
        until(lambda: not answers(self.starttls), "Postfix is gone")

    def signal(self, name):
        master = (self.dir / "spool/pid/master.pid").read_text().strip()
        # It leads a process group of its own, which holds all of its children.
        subprocess.run(["kill", f"-{name}", "--", f"-{master}"], check=True)

    def end(self):
        subprocess.run(["postfix", "-c", self.dir, "abort"], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)

    def letters(self, box=None):
        """Everything that was delivered, to one address or to all."""
        found = []
        for path in sorted(self.dir.glob(f"mail/{box or '*'}/new/*")):
            with open(path, "rb") as file:
                found.append(email.message_from_binary_file(file, policy=email.policy.default))
        return found

    def settings(self, door="smtp+starttls"):
        """Lines of a configuration that sends mail here; writes the password beside it."""
        port = self.implicit if door == "smtps" else self.starttls
        self.write("password", PASSWORD)
        (self.dir / "password").chmod(0o600)
        return (
            f'smtp_url = "{door}://{USER}@localhost:{port}"',
            f'smtp_password_file = "{self.dir}/password"',
            f'smtp_tls_ca_file = "{self.dir}/ca.pem"',
            f'from = "Holdpoint <holdpoint@{DOMAIN}>"',
        )


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(2)
            return bool(connection.recv(1)) or port
    except OSError:
        return False


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
