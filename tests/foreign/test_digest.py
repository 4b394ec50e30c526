"""The published digest vectors, recomputed by an independent canonicaliser, and the
daemon's own digest of the same calls."""

import importlib.util
import json
import random
import uuid

import pytest

from house import ROOT

VECTORS = ROOT / "tests/vectors"
spec = importlib.util.spec_from_file_location("check", VECTORS / "check.py")
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)


def vectors():
    lines = (VECTORS / "digest.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_vectors_agree_with_an_independent_canonicaliser():
    found = vectors()
    assert len(found) >= 10
    for vector in found:
        text = check.canonical(check.covered(vector))
        assert (text, check.digest(text)) == (vector["canonical"], vector["digest"]), vector["name"]


def digest_of(caller, server, tool, arguments, **more):
    answer = caller.submit(
        str(uuid.uuid4()), server=server, tool=tool, arguments=arguments, max_wait_ms=1, **more
    ).result()
    caller.call("CallerService", "WithdrawApproval", id=answer.id)
    return answer.digest


def test_the_daemon_s_digests_are_those_of_the_vectors(caller):
    for vector in vectors():
        more = {}
        if "inputResponses" in vector:
            more["input_responses"] = vector["inputResponses"].encode()
        if "requestState" in vector:
            more["request_state"] = vector["requestState"]
        made = digest_of(
            caller, vector["server"], vector["tool"], vector["arguments"].encode(), **more
        )
        assert made == vector["digest"], vector["name"]


def some_json(chosen, depth=0):
    """JSON text of all shapes, numbers beyond doubles among them."""
    kind = chosen.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return chosen.choice(["true", "false", "null"])
    if kind == 1:
        return str(chosen.randrange(-(10**25), 10**25))
    if kind == 2:
        digits = str(chosen.randrange(1, 10 ** chosen.randrange(1, 25)))
        point = chosen.randrange(1, len(digits) + 1)
        exponent = chosen.choice(["", "", f"e{chosen.randrange(-400, 400)}", f"E+{chosen.randrange(99)}"])
        return digits[:point].lstrip("0").rjust(1, "0") + "." + (digits[point:] or "0") + exponent
    if kind < 6:
        letters = [chosen.choice("aé\u20ac\U0001f600\"\\\n\x01\x7f/ \u2028<") for _ in range(chosen.randrange(6))]
        return json.dumps("".join(letters), ensure_ascii=chosen.random() < 0.5)
    if kind < 7:
        return "[" + " , ".join(some_json(chosen, depth + 1) for _ in range(chosen.randrange(4))) + "]"
    names = chosen.sample(["a", "b", "é", "\U0001f600", "\ufb33", "", "a b", "\r", "1"], chosen.randrange(5))
    members = [json.dumps(name) + ": " + some_json(chosen, depth + 1) for name in names]
    return "{" + ",".join(members) + "}"


@pytest.mark.parametrize("seed", range(4))
def test_random_calls_have_the_same_digest_on_both_sides(caller, seed):
    chosen = random.Random(seed)
    for _ in range(50):
        arguments = '{"x":%s,"y":%s}' % (some_json(chosen), some_json(chosen))
        covered = {"arguments": check.load(arguments), "server": "s\u00e9", "tool": "t"}
        expected = check.digest(check.canonical(covered))
        assert digest_of(caller, "s\u00e9", "t", arguments.encode()) == expected, arguments
