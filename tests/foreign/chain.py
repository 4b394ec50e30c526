"""Verifies an export of the history from its documented format alone.

    header   {"holdpoint_audit_export":1,"log":HEX,"first":N,"last":N,"previous":HEX}
    entries  {"sequence":N,"at":TIME,"kind":WORD,"previous":HEX,"body":HEX,"hash":HEX,
              "salt":HEX,"payload":{...}}
    erased   {"sequence":N,"at":TIME,"kind":WORD,"previous":HEX,"body":HEX,"hash":HEX,
              "erased":true}
    end      {"end":true,"count":N,"head":HEX,"sha256":HEX}

    body  = SHA-256("holdpoint-audit-payload-v1" 0x00 salt payload)
    hash  = SHA-256("holdpoint-audit-entry-v1" 0x00 log sequence[u64 BE] previous
                    at[i64 BE, ms] length-of-kind[u8] kind body)

The payload is hashed as it stands in the line; `sha256` in the last line covers
every byte before that line. Of an erased entry only the hash of what it said is
left; an entry of kind "erased" says of which range that is so.
"""

import datetime
import hashlib
import json
import re
import struct

HEX = "[0-9a-f]"
HEADER = re.compile(
    r'\{"holdpoint_audit_export":1,"log":"(%s{32})","first":(\d+),"last":(\d+),"previous":"(%s{64})"\}'
    % (HEX, HEX)
)
ENTRY = re.compile(
    r'\{"sequence":(\d+),"at":"([^"]+)","kind":"([a-z_]+)","previous":"(%s{64})","body":"(%s{64})",'
    r'"hash":"(%s{64})",(?:"erased":true|"salt":"(%s{32})","payload":(\{.*\}))\}' % (HEX, HEX, HEX, HEX)
)
END = re.compile(r'\{"end":true,"count":(\d+),"head":"(%s{64})","sha256":"(%s{64})"\}' % (HEX, HEX))
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class Broken(Exception):
    """The export is not what was written."""


def milliseconds(text):
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text):
        raise Broken(f"not a time: {text}")
    since = datetime.datetime.fromisoformat(text[:-1] + "+00:00") - EPOCH
    return since // datetime.timedelta(milliseconds=1)


def entry_hash(log, sequence, previous, at, kind, body):
    kind = kind.encode()
    return hashlib.sha256(
        b"holdpoint-audit-entry-v1\0"
        + log
        + struct.pack(">Q", sequence)
        + previous
        + struct.pack(">q", at)
        + bytes([len(kind)])
        + kind
        + body
    ).digest()


def verify(data):
    """The entries of an export, as (sequence, kind, payload); `Broken` otherwise.

    The payload of an erased entry is None.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Broken(str(error)) from None
    if not text.endswith("\n"):
        raise Broken("cut off")
    # Only \n ends a line: payloads may hold other characters that end lines elsewhere.
    lines = text[:-1].split("\n")
    header, end = HEADER.fullmatch(lines[0]), END.fullmatch(lines[-1])
    if not header or not end:
        raise Broken("no header or no end")
    log, previous = bytes.fromhex(header[1]), bytes.fromhex(header[4])
    first, last = int(header[2]), int(header[3])
    covered = data[: len(data) - len(lines[-1].encode()) - 1]
    if hashlib.sha256(covered).hexdigest() != end[3]:
        raise Broken("the last line does not cover what is before it")
    entries = []
    for place, line in enumerate(lines[1:-1]):
        found = ENTRY.fullmatch(line)
        if not found or int(found[1]) != first + place:
            raise Broken(f"line {place + 2}")
        body, payload = bytes.fromhex(found[5]), None
        if found[8] is not None:
            said = found[8].encode()
            salt = bytes.fromhex(found[7])
            body = hashlib.sha256(b"holdpoint-audit-payload-v1\0" + salt + said).digest()
            payload = json.loads(said)
        made = entry_hash(log, int(found[1]), previous, milliseconds(found[2]), found[3], body)
        if (found[4], found[5], found[6]) != (previous.hex(), body.hex(), made.hex()):
            raise Broken(f"line {place + 2}: a hash does not fit")
        previous = made
        entries.append((int(found[1]), found[3], payload))
    if len(entries) != int(end[1]) or last != first + len(entries) - 1:
        raise Broken("entries are missing")
    if previous.hex() != end[2]:
        raise Broken("another head")
    return entries


def unrecorded(entries):
    """Sequence numbers of erased entries that no entry says were erased."""
    gone = {sequence for sequence, _, payload in entries if payload is None}
    for _, kind, payload in entries:
        if kind == "erased" and "first" in payload:
            gone -= set(range(payload["first"], payload["last"] + 1))
    return gone
