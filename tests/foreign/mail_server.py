"""A mail server as a process of its own, to be killed: `mail_server.py PORT FILE`.

Each letter is a line of FILE, on disk before the server says that it has it.
"""

import base64
import json
import os
import signal
import sys

from aiosmtpd.controller import Controller


class Keeping:
    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def handle_DATA(self, server, session, envelope):
        content = base64.b64encode(envelope.original_content).decode()
        line = json.dumps({"to": envelope.rcpt_tos, "content": content}) + "\n"
        os.write(self.file, line.encode())
        os.fsync(self.file)
        return "250 2.0.0 kept"


if __name__ == "__main__":
    port, path = int(sys.argv[1]), sys.argv[2]
    Controller(Keeping(path), hostname="127.0.0.1", port=port).start()
    signal.pause()
