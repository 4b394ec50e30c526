"""The Python SDK as a client: one call, and one line of JSON on what it saw.

Takes what to do as JSON in its first argument; `clients.py` beside this folder
says what may stand there and what the answer looks like.
"""

import asyncio
import contextlib
import json
import sys
import time
from typing import Any, Literal

from mcp import Client, StdioServerParameters
from mcp.client.extension import ClientExtension, ResultClaim
from mcp_types import CallToolResult, Result
import mcp_types as types
from pydantic import Field

TASKS = "io.modelcontextprotocol/tasks"


class TaskCreated(Result):
    """The answer that says: a task has been made of it."""

    result_type: Literal["task"] = Field(alias="resultType")
    task_id: str = Field(alias="taskId")
    status: str = ""
    ttl_ms: int | None = Field(None, alias="ttlMs")
    poll_interval_ms: int = Field(1000, alias="pollIntervalMs")


class TaskParams(types.RequestParams):
    task_id: str = Field(alias="taskId")


class TaskGet(types.Request[TaskParams, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    params: TaskParams


class TaskState(Result):
    status: str
    status_message: str | None = Field(None, alias="statusMessage")
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    poll_interval_ms: int = Field(1000, alias="pollIntervalMs")


class Tasks(ClientExtension):
    """The tasks extension, which the SDK leaves to its users."""

    identifier = TASKS

    def __init__(self, seen):
        self.seen = seen

    def claims(self):
        return [ResultClaim(result_type="task", model=TaskCreated, resolve=self.finish)]

    async def finish(self, created, context):
        self.seen["task"] = created.task_id
        interval = created.poll_interval_ms
        while True:
            await asyncio.sleep(interval / 1000)
            request = TaskGet(params=TaskParams(taskId=created.task_id))
            state = await context.session.send_request(request, TaskState)
            self.seen["polls"] = self.seen.get("polls", 0) + 1
            if state.status_message and state.status_message not in self.seen["messages"]:
                self.seen["messages"].append(state.status_message)
            if state.status == "completed":
                return CallToolResult.model_validate(state.result)
            if state.status in ("failed", "cancelled"):
                raise RuntimeError(f"the task {state.status}: {state.error}")
            interval = state.poll_interval_ms


async def main(what):
    seen = {"messages": [], "progress": [], "attempts": 0}
    began = time.monotonic()

    async def progressed(progress, total, message):
        seen["progress"].append(progress)
        if message:
            seen["messages"].append(message)

    server = what.get("url")
    if server is None:
        command, *words = what["command"]
        environment = what["environment"]
        server = StdioServerParameters(command=command, args=words, env=environment)
    client = Client(
        server,
        mode="legacy" if what["era"] == "legacy" else what["era"],
        extensions=[Tasks(seen)] if what.get("tasks") else None,
        cache=None,
    )
    async with client:
        if what.get("list"):
            listed = await client.list_tools()
            seen["tools"] = sorted(tool.name for tool in listed.tools)
        for _ in range(what.get("again", 0) + 1):
            seen["attempts"] += 1
            with contextlib.suppress(KeyError):
                del seen["error"]
            try:
                result = await client.call_tool(
                    what["tool"],
                    what.get("arguments"),
                    read_timeout_seconds=what.get("timeout"),
                    progress_callback=progressed if what.get("progress") else None,
                )
            except Exception as error:
                seen["error"] = f"{type(error).__name__}: {error}"
                continue
            seen["is_error"] = bool(result.is_error)
            seen["text"] = "".join(getattr(part, "text", "") for part in result.content)
            if what.get("until", "") in seen["text"]:
                break
    seen["seconds"] = round(time.monotonic() - began, 1)
    print(json.dumps(seen))


asyncio.run(main(json.loads(sys.argv[1])))
