"""A team's daemon: callers, operators, routes and tokens from a configuration file."""

from house import House, token_and_hash

NAMES = ("proxy", "script", "ana", "ben", "eve", "old")


class Team(House):
    """ana and ben are in ops, ana is an auditor too; eve is at the desk. `proxy`
    acts for anyone, `script` only for ben; the second token of `proxy` has expired."""

    def __init__(self):
        super().__init__()
        self.tokens, self.hashes = {}, {}
        for name in NAMES:
            self.tokens[name], self.hashes[name] = token_and_hash()

    def configure(self, *lines):
        hashes = self.hashes
        (self.state / "holdpoint.toml").write_text(
            "\n".join(lines)
            + f"""
[[callers]]
name = "proxy"
tokens = [
  {{ sha256 = "{hashes["proxy"]}" }},
  {{ sha256 = "{hashes["old"]}", expires = "2020-01-01T00:00:00Z" }},
]

[[callers]]
name = "script"
tokens = [{{ sha256 = "{hashes["script"]}" }}]
acts_for = ["ben@example.com"]

[[operators]]
name = "ana"
email = "ana@example.com"
aliases = ["Ana.Kovac"]
groups = ["ops"]
roles = ["operator", "auditor"]
tokens = [{{ sha256 = "{hashes["ana"]}" }}]

[[operators]]
name = "ben"
email = "ben@example.com"
groups = ["ops"]
tokens = [{{ sha256 = "{hashes["ben"]}" }}]

[[operators]]
name = "eve"
email = "eve@example.com"
groups = ["desk"]
tokens = [{{ sha256 = "{hashes["eve"]}" }}]

[[routes]]
name = "deletes"
tools = ["*delete*"]
ask = ["ops"]
approvals = 2
timeout = "10m"

[[routes]]
name = "writes"
tools = ["write*"]
ask = ["ops"]

[[routes]]
name = "desk"
servers = ["desk"]
ask = ["desk"]
"""
        )
        return self

    def tcp(self):
        return next(address for address in self.addresses if not address.startswith("unix:"))

    def as_(self, name, **more):
        return self.client(self.tokens[name], self.tcp(), **more)
