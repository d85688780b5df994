"""haproxy before the server: it ends TLS or passes it on, and says by the PROXY protocol whose each connection is.

That the server counts the client and not haproxy is seen in its log. The client is `turnutils_uclient`, and one on pion/turn where
haproxy ends TLS: it puts several messages into one record, of which `turnutils_uclient` reads the first alone.
"""

import re
from dataclasses import dataclass

from harness import stun
from harness.network import CLIENT4, SERVER4
from harness.process import Service, find_program, wait_until
from harness.report import Group, Outcome, Row
from harness.servers import PORT, TLS_PORT, start_server
from rows.pion import relays_for_pion
from rows.uclient import UTURN_CONFIG, Relays

ENDS_TLS_V1, ENDS_TLS_V2, PASSES_TLS, PLAIN = 8441, 8442, 8443, 8444

CONFIG = f"""\
[listen]
proxy_protocol_from = ["127.0.0.1"]

[log]
client_addresses = "full"
{UTURN_CONFIG}"""

# The checks of version 2 are connections of haproxy's own (LOCAL).
HAPROXY_CONFIG = """\
global
    maxconn 1000

defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s

listen ends-tls-v1
    bind {SERVER4}:{ENDS_TLS_V1} ssl crt {pem} alpn stun.turn
    server uturn 127.0.0.1:{PORT} send-proxy

listen ends-tls-v2
    bind {SERVER4}:{ENDS_TLS_V2} ssl crt {pem} alpn stun.turn
    server uturn 127.0.0.1:{PORT} send-proxy-v2-ssl-cn proxy-v2-options crc32c,unique-id check inter 200ms

listen passes-tls
    bind {SERVER4}:{PASSES_TLS}
    server uturn 127.0.0.1:{TLS_PORT} send-proxy-v2

listen plain
    bind {SERVER4}:{PLAIN}
    server uturn 127.0.0.1:{PORT} send-proxy
"""


def setup(context):
    server = start_server(context, "proxied", CONFIG)
    certificates = server.certificates
    pem = context.folder / "haproxy.pem"
    pem.write_text(certificates.certificate.read_text() + certificates.key.read_text())
    config = context.folder / "haproxy.cfg"
    config.write_text(HAPROXY_CONFIG.format(**globals(), pem=pem))
    command = [find_program("haproxy"), "-db", "-f", config]
    proxy = Service(context.net.on_server(command), context.folder / "haproxy.log")
    context.stack.callback(proxy.stop)
    if not wait_until(lambda: stun.accepts_tcp(SERVER4, PLAIN), 10):
        raise RuntimeError(f"haproxy does not answer:\n{proxy.last_words()}")
    return Setting(server, context.folder)


@dataclass(frozen=True)
class Setting:
    """The server, and the folder that programs are built in."""

    server: object
    folder: object


@dataclass(frozen=True)
class Proxied:
    """Every message sent has to come back, and each allocation is the client's, over this transport."""

    port: int
    transport: str
    # Of turnutils_uclient; pion without any.
    flags: str = ""

    def __call__(self, setting):
        server = setting.server
        seen = len(clients(server, self.transport))
        if self.flags:
            outcome = Relays(f"-y -c {self.flags} -p {self.port}")(None)
        else:
            outcome = relays_for_pion(setting.folder, server, f"{SERVER4}:{self.port}")
        new = clients(server, self.transport)[seen:]
        outcome.figures += f"; {len(new)} allocations of {', '.join(sorted(set(new))) or 'nobody'}"
        if outcome.passed and set(new) != {CLIENT4}:
            return Outcome(False, outcome.figures, server.service.last_words())
        return outcome


def clients(server, transport):
    """The addresses of clients that have made allocations, as the log has them."""
    text = re.sub(r"\x1b\[\d*m", "", server.service.log.read_text())
    lines = [line for line in text.splitlines() if "allocation opened" in line]
    lines = [line for line in lines if f"transport={transport}" in line]
    return [re.search(r"client=(\S+)", line)[1] for line in lines]


def without_header(_setting):
    """What comes by itself is served without a header, and has the address that it has."""
    return Relays(f"-y -c -t -p {PORT}")(None)


GROUP = Group(
    setup,
    [
        Row(
            f"haproxy {name}",
            Proxied(*how),
            alone=True,
            for_coturn=False,
        )
        for name, how in [
            ("ends TLS, send-proxy", (ENDS_TLS_V1, "tcp")),
            ("ends TLS, send-proxy-v2 with TLVs, checks", (ENDS_TLS_V2, "tcp")),
            ("passes TLS on, send-proxy-v2", (PASSES_TLS, "tls", "-t -S")),
            ("plain TCP, send-proxy", (PLAIN, "tcp", "-t")),
        ]
    ]
    + [Row("haproxy passed by", without_header, alone=True, for_coturn=False)],
)
