"""Real servers and what they stand on: Valkey's on Redis, Amazon MQ's on moto.

Both backends listen on loopback only and keep nothing on disk.
"""

import re
import socket

from house import until
from stand import PARTIES, ended_or, free_port, listens

BIN = PARTIES / "python/bin"


class Valkey:
    """awslabs.valkey-mcp-server, and a Redis for it."""

    name = "valkey"

    def __init__(self, stand):
        self.port = free_port()
        command = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", ""]
        redis = stand.background([*command, "--appendonly", "no"], "redis.log")
        until(lambda: ended_or(redis, lambda: listens(self.port)), "Redis listens")
        self.command = [BIN / "awslabs.valkey-mcp-server"]
        self.environment = {
            "VALKEY_HOST": "127.0.0.1",
            "VALKEY_PORT": str(self.port),
            "EMBEDDING_PROVIDER": "hash",
            "MCP_LOG_FILE": str(stand.dir / "valkey.log"),
        }

    def get(self, key):
        """The value in the database, asked without any of the parties."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as redis:
            redis.sendall(f"GET {key}\r\n".encode())
            answer = redis.makefile("rb")
            length = int(re.fullmatch(rb"\$(-?\d+)\r\n", answer.readline())[1])
            return None if length < 0 else answer.read(length).decode()


class AmazonMq:
    """awslabs.amazon-mq-mcp-server, and an AWS of our own for it."""

    name = "amazon-mq"

    def __init__(self, stand):
        self.port = free_port()
        command = [BIN / "moto_server", "-H", "127.0.0.1", "-p", self.port]
        moto = stand.background(command, "moto.log")
        until(lambda: ended_or(moto, lambda: listens(self.port)), "moto listens")
        keys = stand.dir / "aws-keys"
        keys.write_text("[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n")
        config = stand.dir / "aws-config"
        config.write_text("[default]\nregion = us-east-1\n")
        self.command = [BIN / "awslabs.amazon-mq-mcp-server", "--allow-resource-creation"]
        self.environment = {
            "AWS_SHARED_CREDENTIALS_FILE": str(keys),
            "AWS_CONFIG_FILE": str(config),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
        }
