"""werift and node-datachannel (npm): two peers that know nothing but relayed candidates.

node-datachannel is libdatachannel with libjuice, a client of RFC 8489: it signs by SHA-256 where that is offered, and sends
USERHASH where the nonce tells of username anonymity, which a server without shared secrets does. It speaks UDP alone.
werift, like aioice, refreshes no permission, and leaves its allocations behind.
"""

from dataclasses import dataclass

from harness.clients import E2E
from harness.credentials import time_limited
from harness.network import SERVER4
from harness.process import run
from harness.report import Group, Row
from harness.servers import PASSWORD, PORT, SECRET, STATIC_USER, TLS_PORT, start_server
from rows.aiortc import outcome_of_call

PATIENCE_SECONDS = 60


def setup(context):
    return start_server(context, "node")


def setup_users_only(context):
    return start_server(context, "node-users", with_secret=False)


@dataclass(frozen=True)
class Call:
    """A data channel over one URL of the server."""

    stack: str
    url: str
    static: bool = False

    def __call__(self, server):
        username, credential = time_limited(SECRET, "node")
        if self.static:
            username, credential = STATIC_USER, PASSWORD
        authority = server.certificates.authority
        command = ["node", E2E / "node_call.mjs", self.stack, self.url, username, credential]
        return outcome_of_call(run([*command, authority], PATIENCE_SECONDS))


UDP = f"turn:{SERVER4}:{PORT}?transport=udp"
TCP = f"turn:{SERVER4}:{PORT}?transport=tcp"
TLS = f"turns:{SERVER4}:{TLS_PORT}?transport=tcp"

GROUP = Group(
    setup,
    [
        Row("werift turn udp", Call("werift", UDP), alone=True),
        Row("werift turn tcp", Call("werift", TCP), alone=True),
        Row("werift turns", Call("werift", TLS), alone=True),
        Row("node-datachannel turn udp", Call("ndc", UDP), alone=True),
    ],
)

USERS_GROUP = Group(
    setup_users_only,
    [
        Row(
            "node-datachannel turn udp, USERHASH",
            Call("ndc", UDP, static=True),
            alone=True,
            for_coturn=False,
        ),
    ],
)
