// The TypeScript SDK as a client, of its first line (legacy only) or its second
// (both eras): one call, and one line of JSON on what it saw. Takes what to do as
// JSON in its first argument; `clients.py` beside this folder says what may stand
// there.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const what = JSON.parse(process.argv[2]);
// The packages are installed elsewhere than this file lies.
const find = createRequire(what.modules + "/");
const load = (name) => import(pathToFileURL(find.resolve(name)));

async function sdk() {
  if (what.line === 2) {
    return { ...(await load("@modelcontextprotocol/client")), ...(await load("@modelcontextprotocol/client/stdio")) };
  }
  return {
    ...(await load("@modelcontextprotocol/sdk/client/index.js")),
    ...(await load("@modelcontextprotocol/sdk/client/stdio.js")),
    ...(await load("@modelcontextprotocol/sdk/client/streamableHttp.js")),
  };
}

const { Client, StdioClientTransport, StreamableHTTPClientTransport } = await sdk();
const began = Date.now();
const seen = { messages: [], progress: [], attempts: 0 };
const transport = what.url
  ? new StreamableHTTPClientTransport(new URL(what.url))
  : new StdioClientTransport({
      command: what.command[0],
      args: what.command.slice(1),
      env: what.environment,
    });
const modern = what.era !== "legacy";
const client = new Client(
  { name: `typescript-sdk-${what.line}`, version: "1" },
  modern ? { versionNegotiation: { mode: { pin: what.era } } } : {},
);
await client.connect(transport);
if (what.list) {
  seen.tools = (await client.listTools()).tools.map((tool) => tool.name).sort();
}
const options = {};
if (what.timeout) options.timeout = what.timeout * 1000;
if (what.progress) {
  options.resetTimeoutOnProgress = true;
  options.onprogress = ({ progress, message }) => {
    seen.progress.push(progress);
    if (message) seen.messages.push(message);
  };
}
const call = { name: what.tool, arguments: what.arguments };
for (let attempt = 0; attempt <= (what.again ?? 0); attempt++) {
  seen.attempts++;
  delete seen.error;
  try {
    const result =
      what.line === 2 ? await client.callTool(call, options) : await client.callTool(call, undefined, options);
    seen.is_error = result.isError ?? false;
    seen.text = result.content.map((part) => part.text ?? "").join("");
    if (seen.text.includes(what.until ?? "")) break;
  } catch (error) {
    seen.error = String(error);
  }
}
seen.seconds = (Date.now() - began) / 1000;
console.log(JSON.stringify(seen));
await client.close();
