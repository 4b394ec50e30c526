"""A fixed conversation with a server over stdio, recorded line by line.

What is played does not depend on what is answered, except that an answer is
awaited before the next request is sent: so two recordings of one server differ
only in what that server makes up anew each time.
"""

import json
import re

from wire import Wire

LEGACY_HELLO = (
    b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25",'
    b'"capabilities":{"roots":{"listChanged":true},"sampling":{},"elicitation":{},'
    b'"unheard-of":{"x":1}},"clientInfo":{"name":"recorder","version":"1"}}}'
)
ROOTS = b'{"jsonrpc":"2.0", "id":0, "result":{"roots":[], "unheard-of":[1.0]}}'
INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'

# Every kind of message, in spellings that a proxy which types them again would
# change: space, order of members, ids, numbers, escapes, members nobody knows.
COMMON = [
    b'{"jsonrpc":"2.0","id":"list \\u00e9","method":"tools/list"}',
    b'{ "method" : "tools/list" , "params":{"_meta":{"x":1.0}}, "id" : 2, "jsonrpc":"2.0" }',
    b'{"jsonrpc":"2.0","id":3,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":4,"method":"resources/list","params":{}}',
    b'{"jsonrpc":"2.0","id":5,"method":"prompts/list","params":{}}',
    b'{"jsonrpc":"2.0","id":6,"method":"no/such-method","params":{"a":[1,2.50,"\\/"]}}',
    b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"no-such-tool","arguments":{}}}',
]

EVERYTHING = [
    b'{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"echo","arguments":'
    b'{"message":"h\\u00e9llo \xc3\xa9 \\ud83d\\ude00 \\/"}}}',
    b'{"params":{"name":"get-sum","arguments":{"b":1e2,"a":0.10}},"id":-11,"method":"tools/call",'
    b'"jsonrpc":"2.0"}',
    b'{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"get-tiny-image","arguments":{}}}',
    b'{"jsonrpc":"2.0","id":13,"method":"tools/call","params":{"name":'
    b'"get-structured-content","arguments":{"location":"Chicago"}}}',
    b'{"jsonrpc":"2.0","id":14,"method":"tools/call","params":{"name":'
    b'"trigger-long-running-operation","arguments":{"duration":0.4,"steps":4},'
    b'"_meta":{"progressToken":"p-1"}}}',
    b'{"jsonrpc":"2.0","id":15,"method":"tools/call","params":{"name":"echo","arguments":{}}}',
    b'{"jsonrpc":"2.0","id":16,"method":"tools/call","params":{"name":'
    b'"get-annotated-message","arguments":{"messageType":"error","includeImage":false}}}',
    b'{"jsonrpc":"2.0","id":17,"method":"logging/setLevel","params":{"level":"emergency"}}',
    b'{"jsonrpc":"2.0","id":18,"method":"resources/templates/list","params":{}}',
    b'{"jsonrpc":"2.0","id":19,"method":"resources/read","params":{"uri":'
    b'"demo://resource/static/document/architecture.md"}}',
    b'{"jsonrpc":"2.0","id":20,"method":"prompts/get","params":{"name":"simple-prompt"}}',
    b'{"jsonrpc":"2.0","id":21,"method":"prompts/get","params":{"name":"args-prompt",'
    b'"arguments":{"city":"Oslo","state":""}}}',
    b'{"jsonrpc":"2.0","id":22,"method":"completion/complete","params":{"ref":'
    b'{"type":"ref/prompt","name":"completable-prompt"},"argument":{"name":"department","value":"E"}}}',
]

FILESYSTEM = [
    b'{"jsonrpc":"2.0","id":30,"method":"tools/call","params":{"name":"write_file","arguments":'
    b'{"path":"a.txt","content":"one\\ntwo\\u0000\xc3\xa9\\n"}}}',
    b'{"jsonrpc":"2.0","id":31,"method":"tools/call","params":{"name":"read_text_file",'
    b'"arguments":{"path":"a.txt"}}}',
    b'{"jsonrpc":"2.0","id":32,"method":"tools/call","params":{"name":"list_directory",'
    b'"arguments":{"path":"."}}}',
    b'{"jsonrpc":"2.0","id":33,"method":"tools/call","params":{"name":"edit_file","arguments":'
    b'{"path":"a.txt","edits":[{"oldText":"two","newText":"three"}],"dryRun":true}}}',
    b'{"jsonrpc":"2.0","id":34,"method":"tools/call","params":{"name":"read_text_file",'
    b'"arguments":{"path":"/etc/hostname"}}}',
    b'{"jsonrpc":"2.0","id":35,"method":"tools/call","params":{"name":'
    b'"list_allowed_directories","arguments":{}}}',
    b'{"jsonrpc":"2.0","id":36,"method":"tools/call","params":{"name":"read_text_file",'
    b'"arguments":{"path":7}}}',
]

# What the servers make up anew each time. Anything else has to be the same.
MADE_UP = [
    # server-everything's structured content: weather by chance.
    (re.compile(rb'("?\\?"?(?:temperature|humidity)\\?"?\s*:\s*)-?[0-9.]+'), rb"\1N"),
    (re.compile(rb'(\\?"conditions\\?"\s*:\s*)\\?"[^"\\]*\\?"'), rb"\1W"),
]

ID = re.compile(rb'"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9]+)')


class Recording:
    """What went to a server and what came back."""

    def __init__(self, sent, came):
        self.sent, self.came = sent, came

    def normal(self):
        """What came, without what is made up: the answers in their order, and what
        the server said of itself, which it partly does by the clock, in any."""
        answers, own = [], []
        for line in self.came:
            which = own if own_message(line) else answers
            for pattern, by in MADE_UP:
                line = pattern.sub(by, line)
            which.append(line)
        return answers, sorted(own)


def play(command, environment, conversation, cwd, seen_by_server):
    """Plays a conversation. `seen_by_server`: the file of what the server read."""
    wire = Wire(command, environment, cwd)
    came = []

    def say(line):
        wire.send(line)
        wanted = ID.search(line)
        if wanted is None:
            return
        while True:
            said = wire.line()
            came.append(said)
            found = ID.search(said)
            if not own_message(said) and found and found[1] == answer_id(wanted[1]):
                return

    try:
        say(LEGACY_HELLO)
        wire.send(INITIALIZED)
        for line in conversation:
            say(line)
        # Answered only now: when the server asks is up to its clock.
        assert any(b'"roots/list"' in line for line in came)
        wire.send(ROOTS)
        say(b'{"jsonrpc":"2.0","id":99,"method":"ping"}')
        assert wire.hang_up() == 0
    finally:
        wire.end()
    return Recording(seen_by_server.read_bytes(), came)


def own_message(line):
    """Whether the server asks or tells, rather than answers."""
    message = json.loads(line)
    return isinstance(message, dict) and "method" in message


def answer_id(text):
    """How a server in JavaScript writes this id: a name as its letters."""
    return text.decode("unicode_escape").encode() if text.startswith(b'"') else text
