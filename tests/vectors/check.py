#!/usr/bin/env python3
"""Checks digest.jsonl with an implementation that shares nothing with ours.

Python's json, decimal and hashlib only: run `python3 tests/vectors/check.py`.
A caller in another language can start from the functions here.
"""

import hashlib
import json
import pathlib
import sys
from decimal import Decimal


def number(value: Decimal) -> str:
    """The exact value of `value` in the layout of ECMAScript's Number::toString."""
    sign, digits, exponent = value.as_tuple()
    digits = "".join(map(str, digits)).lstrip("0")
    exponent += len(digits) - len(digits.rstrip("0"))
    digits = digits.rstrip("0")
    if not digits:
        return "0"
    k, n = len(digits), len(digits) + exponent
    if k <= n <= 21:
        text = digits + "0" * (n - k)
    elif 0 < n <= 21:
        text = digits[:n] + "." + digits[n:]
    elif -6 < n <= 0:
        text = "0." + "0" * -n + digits
    else:
        text = digits[0] + ("." + digits[1:] if k > 1 else "") + "e%+d" % (n - 1)
    return ("-" if sign else "") + text


def string(value: str) -> str:
    # json.dumps escapes as RFC 8785 does, but for DEL, which it leaves alone too.
    return json.dumps(value, ensure_ascii=False)


def canonical(value) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, str):
        return string(value)
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    names = sorted(value, key=lambda name: name.encode("utf-16-be"))
    return "{" + ",".join(string(n) + ":" + canonical(value[n]) for n in names) + "}"


def load(text: str):
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def covered(vector: dict) -> dict:
    call = {
        "arguments": load(vector["arguments"] or "{}"),
        "server": vector["server"],
        "tool": vector["tool"],
    }
    if "inputResponses" in vector:
        call["inputResponses"] = load(vector["inputResponses"])
    if "requestState" in vector:
        call["requestState"] = vector["requestState"]
    return call


def digest(text: str) -> str:
    return hashlib.sha256(b"holdpoint-call-v1\x00" + text.encode()).hexdigest()


def main() -> int:
    file = pathlib.Path(__file__).with_name("digest.jsonl")
    wrong = 0
    vectors = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    for vector in vectors:
        text = canonical(covered(vector))
        if (text, digest(text)) != (vector["canonical"], vector["digest"]):
            print(f"differs: {vector['name']}: {text} {digest(text)}")
            wrong += 1
    print(f"{len(vectors) - wrong} of {len(vectors)} vectors agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
