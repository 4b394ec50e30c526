"""What a line of bytes may mean to one server or another.

Servers cut their input into lines in different ways, decode it in different ways,
and differ on members that come twice or are written in another case. A message
passes the proxy safely only if nobody reads a call in it that the proxy did not.
"""

import codecs
import json
import re

CALL = "tools/call"

# Ways to cut bytes into lines: strictly; as Python's universal newlines and most
# terminals do; as Node's readline does; as Python's splitlines does.
CUTS = [
    re.compile("\n"),
    re.compile("\r\n|\n|\r"),
    re.compile("\r\n|\n|\r|\u2028|\u2029"),
    re.compile("\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]"),
    re.compile("[\n\0]"),
]


def decodings(data):
    """The texts that different decoders make of bytes."""
    found = {
        data.decode("utf-8", "replace"),
        data.decode("utf-8", "ignore"),
        data.decode("latin-1"),
        codecs.decode(data, "utf-8", "surrogateescape"),
    }
    # Overlong forms, for decoders that take them.
    found.add(re.sub(rb"\xc0\xaf", b"/", data).decode("utf-8", "ignore"))
    return found


def folded(name):
    """As Go's decoder matches names, and a little more."""
    return name.casefold()


def first_wins(pairs):
    found = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def folding(wins):
    """Names folded first; then the first or the last of those that are the same."""
    return lambda pairs: wins((folded(name), value) for name, value in pairs)


def raw(pairs):
    """A Rust reader whose raw values are on takes this name for an instruction, where
    it stands alone."""
    found = dict(pairs)
    inner = found.get("$serde_json::private::RawValue")
    if isinstance(inner, str) and len(found) == 1:
        try:
            return json.loads(inner)
        except (ValueError, RecursionError):
            pass
    return found


READERS = [
    json.JSONDecoder(object_pairs_hook=hook, strict=strict)
    for hook in (dict, first_wins, folding(dict), folding(first_wins), raw)
    for strict in (True, False)
]


def is_call(value):
    """Whether a value is a message that calls a tool, or a batch with one."""
    if isinstance(value, list):
        return any(is_call(item) for item in value)
    return isinstance(value, dict) and value.get("method") == CALL


def values(text, reader):
    """The values in a line, also where several stand one after the other."""
    at = 0
    while at < len(text):
        # What comes before a value is skipped, as a forgiving reader would.
        start = min((n for n in (text.find("{", at), text.find("[", at)) if n >= 0), default=-1)
        if start < 0 or text[at:start].strip(" \t\r,;\0\x1e\x85\ufeff\u2028\u2029"):
            return
        try:
            value, at = reader.raw_decode(text, start)
        except (ValueError, RecursionError):
            return
        yield value


def calls_in(data):
    """The lines of some reading of the bytes in which a tool is called."""
    found = []
    for text in decodings(data):
        for cut in CUTS:
            for line in set(cut.split(text)):
                # Most lines have nothing in them that could become one.
                if "call" not in line and "\\u" not in line:
                    continue
                for reader in READERS:
                    if any(is_call(value) for value in values(line, reader)):
                        found.append(line[:300])
                        break
    return found
