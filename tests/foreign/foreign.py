"""A client of the daemon that shares no code with it.

Everything it knows of the contract comes from the daemon's own server
reflection; messages are built from those descriptors at run time.
"""

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_status import rpc_status

PACKAGE = "holdpoint.v1"
# What an ordinary RPC may take. One that blocks is given its own time.
SOON = 20


class Refused(Exception):
    """An RPC that ended with an error, taken apart."""

    def __init__(self, error):
        self.code = error.code().name
        self.message = error.details()
        self.reason = self.domain = None
        self.violations = {}
        status = rpc_status.from_call(error)
        for detail in status.details if status else []:
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                self.reason, self.domain = info.reason, info.domain
            elif detail.Unpack(bad):
                for violation in bad.field_violations:
                    self.violations[violation.field] = violation.description
        super().__init__(f"{self.code} {self.reason}: {self.message} {self.violations}")


class Contract:
    """Descriptors, fetched from a running daemon."""

    def __init__(self, channel):
        database = ProtoReflectionDescriptorDatabase(channel)
        self.services = sorted(database.get_services())
        self.pool = descriptor_pool.DescriptorPool(database)

    def message(self, name):
        descriptor = self.pool.FindMessageTypeByName(name)
        return message_factory.GetMessageClass(descriptor)

    def value(self, enum, name):
        """The number of an enum's value: `value("Status", "STATUS_PENDING")`."""
        return self.pool.FindEnumTypeByName(f"{PACKAGE}.{enum}").values_by_name[name].number

    def name(self, enum, number):
        return self.pool.FindEnumTypeByName(f"{PACKAGE}.{enum}").values_by_number[number].name


class Pending:
    """An RPC that is under way."""

    def __init__(self, future):
        self._future = future

    def done(self):
        return self._future.done()

    def cancel(self):
        self._future.cancel()

    def result(self, timeout=SOON):
        try:
            return self._future.result(timeout)
        except grpc.RpcError as error:
            raise Refused(error) from None


class Foreign:
    """One identity's connection."""

    def __init__(self, address, token=None, root=None, authority=None, certificate=None):
        """`certificate`: a client certificate and its key, both PEM."""
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        if address.startswith("unix:"):
            # Without it the authority is the socket's path, percent-encoded,
            # which HTTP/2 stacks refuse.
            options.append(("grpc.default_authority", "localhost"))
        if authority:
            options.append(("grpc.ssl_target_name_override", authority))
        self.scheme, _, rest = address.partition("://")
        if self.scheme == "https":
            chain, key = certificate or (None, None)
            credentials = grpc.ssl_channel_credentials(root, key, chain)
            self.channel = grpc.secure_channel(rest, credentials, options)
        else:
            target = rest if self.scheme == "http" else address
            self.channel = grpc.insecure_channel(target, options)
        self.metadata = [("authorization", f"Bearer {token}")] if token else []
        self._contract = None

    @property
    def contract(self):
        if self._contract is None:
            self._contract = Contract(self.channel)
        return self._contract

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _method(self, service, method):
        full = service if "." in service else f"{PACKAGE}.{service}"
        found = self.contract.pool.FindServiceByName(full).methods_by_name[method]
        request = message_factory.GetMessageClass(found.input_type)
        response = message_factory.GetMessageClass(found.output_type)
        kind = "unary_stream" if found.server_streaming else "unary_unary"
        stub = getattr(self.channel, kind)(
            f"/{full}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        return stub, request

    def call(self, service, method, /, timeout=SOON, **fields):
        """One RPC; its answer, or `Refused`."""
        stub, request = self._method(service, method)
        try:
            return stub(request(**fields), timeout=timeout, metadata=self.metadata)
        except grpc.RpcError as error:
            raise Refused(error) from None

    def begin(self, service, method, /, timeout=40, **fields):
        """One RPC that goes on while the test does something else."""
        stub, request = self._method(service, method)
        return Pending(stub.future(request(**fields), timeout=timeout, metadata=self.metadata))

    def stream(self, service, method, /, timeout=40, **fields):
        """The messages of a stream."""
        stub, request = self._method(service, method)
        return Stream(stub(request(**fields), timeout=timeout, metadata=self.metadata))

    def health(self, service=""):
        """SERVING, NOT_SERVING, ... The health service is described by
        reflection as well."""
        answer = self.call("grpc.health.v1.Health", "Check", service=service)
        return type(answer).ServingStatus.Name(answer.status)

    # What tests do all the time.

    def submit(self, call_id, server="files", tool="write", arguments=b"{}", agent=None, **more):
        waits = {name: more.pop(name) for name in ("timeout_ms", "max_wait_ms") if name in more}
        call = dict(server=server, tool=tool, arguments=arguments, agent=agent or {}, **more)
        return self.begin("CallerService", "RequestApproval", call_id=call_id, call=call, **waits)

    def pending(self):
        return list(self.call("OperatorService", "ListPending", page_size=500).requests)

    def decide(self, request, verdict="APPROVE", reason="", digest=None):
        number = self.contract.value("Verdict", f"VERDICT_{verdict}")
        digest = request.digest if digest is None else digest
        fields = dict(id=request.id, verdict=number, reason=reason, digest=digest)
        return self.call("OperatorService", "Decide", **fields).request

    def take(self, answer, call_id, digest=None, expect_outcome=False):
        digest = answer.digest if digest is None else digest
        fields = dict(id=answer.id, call_id=call_id, digest=digest, expect_outcome=expect_outcome)
        return self.call("CallerService", "TakeUse", **fields)

    def query(self, page_size=0, ascending=False, **filters):
        """Entries of all pages, and how many pages there were."""
        entries, pages, token = [], 0, ""
        while True:
            answer = self.call(
                "HistoryService",
                "QueryAudit",
                filter=filters,
                page_size=page_size,
                ascending=ascending,
                page_token=token,
            )
            entries.extend(answer.entries)
            pages += 1
            assert pages < 10_000, "the history has no last page"
            token = answer.next_page_token
            if not token:
                return entries, pages

    def export(self, **fields):
        stream = self.stream("HistoryService", "ExportAudit", **fields)
        return b"".join(chunk.data for chunk in stream)


class Stream:
    """A stream of messages, one at a time."""

    def __init__(self, call):
        self._call = call

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise Refused(error) from None

    def cancel(self):
        self._call.cancel()
