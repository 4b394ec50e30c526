"""What agents were told and what servers ran, held against the daemon's history.

For each key, of which every call is the same call:

- it ran at most as often as its use was granted, each time after a grant
- a use was granted at most once for a request, and only after its approval
- a request that was denied, expired, withdrawn or lapsed granted none
- whatever was told as a result ran, and whatever ran was told as a result, or as
  not known, or its agent heard nothing; nothing ran whose agent only heard "not run"
- a request whose outcome is "succeeded" ran; one that did not run is told as
  "failed" or "unknown", and no use stays without an outcome
- the next request for a call of which it was not known how it ended says so
"""

import collections
import datetime
import json

from scene import key_of

# Times in the history are whole milliseconds, and the server's clock is the same.
GRAIN = 0.002

KNOWN_ENDINGS = {"denied", "expired", "withdrawn", "use_lapsed"}


def seconds(rfc3339):
    return datetime.datetime.fromisoformat(rfc3339.replace("Z", "+00:00")).timestamp()


class Key:
    def __init__(self):
        self.runs, self.told, self.requests = [], [], []


class Request:
    """A request's story, from its entries in the history."""

    def __init__(self, id, entries, shown):
        self.id, self.shown = id, shown
        self.kinds = [entry.kind for entry in entries]
        self.at = {entry.kind: seconds(entry.at) for entry in entries}
        self.sequences = {entry.kind: entry.sequence for entry in reversed(entries)}
        self.grants = [seconds(e.at) for e in entries if e.kind == "use_granted"]
        self.digests = {
            json.loads(e.payload).get("digest") for e in entries if e.kind == "use_granted"
        }

    def is_open_at(self, sequence):
        """A use was taken before this entry, and its outcome not known."""
        granted, known = self.first("use_granted"), self.first("outcome_reported")
        return granted is not None and granted < sequence and (known is None or known > sequence)

    def first(self, kind):
        """The sequence number of the first entry of a kind."""
        return self.sequences.get(kind)


class Truth:
    """What is known so far; learns what is new."""

    def __init__(self, scene):
        self.scene = scene
        self.last = 0
        self.stories = collections.defaultdict(list)
        # The requests of each key.
        self.ids = collections.defaultdict(set)

    def learn(self):
        """All that is known of each key of which anything is new."""
        news = self._new_entries()
        for entry in news:
            self.stories[entry.request_id].append(entry)
        fresh = set()
        for id in {entry.request_id for entry in news}:
            key = key_of(self.scene.request(id))
            self.ids[key].add(id)
            fresh.add(key)
        return self.of(fresh)

    def of(self, wanted):
        """All that is known of these keys."""
        keys = collections.defaultdict(Key)
        for key in wanted:
            for id in self.ids[key]:
                request = Request(id, self.stories[id], self.scene.request(id))
                keys[key].requests.append(request)
        for _pid, key, time, _tool in self.scene.executed_lines():
            # One that ran and was never asked for counts too.
            if key in wanted or key not in self.ids:
                keys[key].runs.append(float(time))
        for key, words in self.scene.told:
            if key in wanted:
                keys[key].told.append(words)
        return keys

    def everything(self):
        self.learn()
        return self.of(set(self.ids))

    def _new_entries(self):
        """Of requests, oldest first."""
        found, token = [], ""
        while True:
            page = self.scene.operator.call(
                "HistoryService", "QueryAudit", page_size=500, page_token=token
            )
            found += [entry for entry in page.entries if entry.sequence > self.last]
            token = page.next_page_token
            if not token or page.entries[-1].sequence <= self.last:
                break
        self.last = max([self.last, *(entry.sequence for entry in found)])
        return [entry for entry in reversed(found) if entry.request_id]


def meaning(words):
    """ran, not run, unknown, or nothing: what an agent was told of one attempt."""
    if words is None:
        return "nothing"
    if words.startswith("It is not known whether this call ran"):
        return "unknown"
    # Nobody redefines a tool here, and nobody changes the policy.
    if words.startswith("Not run") and "since then" not in words:
        return "not run"
    if words.startswith(("write ", "slow ")):
        return "ran"
    return f"something else: {words}"


def violations(keys, name, last=False):
    """What is wrong. `name(enum, number)`; `last`: no use may be without an outcome."""
    found = []
    for key, of in keys.items():
        found += [f"{key}: {what}" for what in of_key(of, name, last)]
    return found


def of_key(of, name, last):
    granted = sorted(at for request in of.requests for at in request.grants)
    runs = sorted(of.runs)
    if len(runs) > len(granted):
        yield f"ran {len(runs)} times, but was granted {len(granted)} times: unapproved or twice"
    for n, at in enumerate(runs[: len(granted)]):
        if at + GRAIN < granted[n]:
            yield f"ran before its grant: {at} before {granted[n]}"
    meanings = collections.Counter(meaning(words) for words in of.told)
    for other in meanings.keys() - {"ran", "not run", "unknown", "nothing"}:
        yield other
    if meanings["ran"] > len(runs):
        yield f"told as a result {meanings['ran']} times, but ran {len(runs)} times"
    if len(runs) > meanings["ran"] + meanings["unknown"] + meanings["nothing"]:
        yield f"ran {len(runs)} times, but agents were told {dict(meanings)}"
    outcomes = collections.Counter()
    for request in of.requests:
        outcome = name("Outcome", request.shown.outcome)
        outcomes[outcome] += bool(request.grants)
        yield from of_request(request, outcome, last)
    if outcomes["succeeded"] > len(runs):
        yield f"{outcomes['succeeded']} requests succeeded, but it ran {len(runs)} times"
    if len(runs) > outcomes["succeeded"] + outcomes["unknown"] + outcomes["unspecified"]:
        yield f"ran {len(runs)} times, but the outcomes are {dict(outcomes)}"
    yield from of_repeats(of.requests)


def of_request(request, outcome, last):
    if len(request.grants) > 1:
        yield f"{request.id}: granted {len(request.grants)} times"
    if not request.grants:
        return
    if "approved" not in request.at or request.at["approved"] > request.grants[0]:
        yield f"{request.id}: granted without an approval"
    if KNOWN_ENDINGS & request.at.keys():
        yield f"{request.id}: granted, and {request.kinds}"
    if request.digests != {request.shown.digest}:
        yield f"{request.id}: granted for another digest"
    if last and outcome == "unspecified":
        yield f"{request.id}: its use was taken, and its outcome is lost"


def of_repeats(requests):
    for later in requests:
        asked = later.first("requested")
        # A call that was to crash its server is another call than its repetition.
        same = [r for r in requests if r.shown.digest == later.shown.digest and r is not later]
        open_then = {r.id for r in same if r.is_open_at(asked)}
        missing = open_then - set(later.shown.may_have_run)
        if missing:
            yield f"{later.id} does not say that {missing} may have run"
