-- Earlier calls of the same tool by the same client: what is unusual about a call.
CREATE INDEX requests_by_tool ON requests (caller, client, server, tool, n);
