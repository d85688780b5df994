"""`uturn doctor` on hosts and in networks whose faults are known, with uturn and coturn as the servers that it looks at.

The servers, NATs and firewalls are those of the rows for `uturn probe`.
"""

import json
from dataclasses import dataclass

from harness.network import CLIENT4, SERVER4
from harness.process import run
from harness.report import Group, Outcome, Row
from harness.servers import PORT, REALM, SECRET, write_secret
from rows import probe
from rows.probe import HTTPS_PORT, NAT, NO_RELAY_RANGE, NO_UDP, NOTHING, ONLY_HTTPS

PATIENCE_SECONDS = 20
WRONG_SECRET = "another secret, of 32 bytes or so"

CONFIG = """\
[auth]
realm = "{realm}"
shared_secrets = ["{secret}"]

[listen]
udp = ["{listen}"]
tcp = []

[relay]
addresses = ["{relay}"]
{external}
"""


@dataclass
class Setting:
    """What a doctor is started with, and where."""

    probe: object
    context: object


@dataclass(frozen=True)
class Doctor:
    """The finding that has to come out, and what has to stand in it."""

    finding: str
    severity: str
    says: str
    # What mends it, or a part of that.
    mend: str = ""
    # Beside the configuration.
    arguments: tuple = ()
    secret: str = SECRET
    listen: str = "127.0.0.1:13478"
    relay: str = "127.0.0.1"
    external: str = ""
    # In the namespace of the server, not of the clients.
    at_server: bool = False

    def __call__(self, setting):
        config = setting.context.folder / f"doctor-{id(self)}.toml"
        external = f'external = ["{self.external}"]' if self.external else ""
        text = CONFIG.format(
            realm=REALM,
            secret=self.secret,
            listen=self.listen,
            relay=self.relay,
            external=external,
        )
        write_secret(config, text)
        command = [setting.probe.binary, "doctor", "--json", "--config", config]
        command += [*self.arguments, "--ca", setting.probe.authority, "--timeout", "1s"]
        if self.at_server:
            command = setting.context.net.on_server(command)
        done = run(command, PATIENCE_SECONDS)
        try:
            told = json.loads(done.output)
        except ValueError:
            return Outcome(False, "no findings", done.output)
        found = [finding for finding in told["findings"] if finding["id"] == self.finding]
        right = (
            len(found) == 1
            and found[0]["severity"] == self.severity
            and self.says in found[0]["sentence"]
            and self.mend in " or ".join(found[0]["mend"])
            and done.code == (0 if told["fine"] else 1)
            and told["fine"] <= (self.severity in ("fine", "advice"))
        )
        figures = found[0]["sentence"] if found else f"no {self.finding}"
        return Outcome(right, figures, json.dumps(told, indent=1))


def probing(source, finding, severity, says, **more):
    return Doctor(finding, severity, says, arguments=(SERVER4, "--source", source), **more)


ASKING = ("--stun", f"{SERVER4}:{PORT}")

ROWS = {
    "open": probing(CLIENT4, "probe-works", "fine", "Works: UDP, TCP and TLS all relay"),
    "UDP blocked": probing(
        NO_UDP,
        "probe-udp-blocked",
        "error",
        f"UDP to {SERVER4}:{PORT} is blocked on the way (TCP and TLS work)",
        mend=f"udp dport {PORT} accept",
    ),
    "443 only": probing(
        ONLY_HTTPS,
        "probe-only-tls443",
        "error",
        "Only TLS on 443 gets through",
        mend=f"turns:{SERVER4}:{HTTPS_PORT}",
    ),
    "relay range closed": probing(
        NO_RELAY_RANGE,
        "probe-relay-range-closed",
        "error",
        "The server allocates but its relay range cannot be reached from here",
        mend="udp dport 49152-65535 accept",
    ),
    "nothing gets through": probing(
        NOTHING, "probe-silent", "error", f"Nothing comes back from {SERVER4}"
    ),
    "wrong secret": probing(
        CLIENT4,
        "probe-credential",
        "error",
        "The server refuses the credential: 401 ",
        mend="uturn explain username",
        secret=WRONG_SECRET,
    ),
    "wrong external address": Doctor(
        "external-address-wrong",
        "error",
        f"Peers are told 1.2.3.99, but {NAT} is seen from outside as {CLIENT4}.",
        mend=f'external = ["{CLIENT4}"] in [relay]',
        arguments=ASKING,
        relay=NAT,
        external="1.2.3.99",
    ),
    "no external address": Doctor(
        "external-address-wrong",
        "error",
        f"Peers are told {NAT}, but {NAT} is seen from outside as {CLIENT4}.",
        mend=f'external = ["{CLIENT4}"] in [relay]',
        arguments=ASKING,
        relay=NAT,
    ),
    "right external address": Doctor(
        "external-address",
        "fine",
        f"peers are told {CLIENT4}, as which {NAT} is seen",
        arguments=ASKING,
        relay=NAT,
        external=CLIENT4,
    ),
    "nobody asked": Doctor(
        "external-address-missing",
        "warning",
        f"Peers are told the private address {NAT}.",
        mend="uturn doctor --stun HOST",
        relay=NAT,
    ),
    "address of another host": Doctor(
        "address-not-here",
        "error",
        f"udp {SERVER4}:{PORT} is at {SERVER4}, which is no address of this host.",
        mend=f'"0.0.0.0:{PORT}" in the place of',
        listen=f"{SERVER4}:{PORT}",
    ),
}

AT_SERVER = {
    "uturn": Doctor(
        "port-served",
        "fine",
        f"udp {SERVER4}:{PORT} is served by uturn (process ",
        listen=f"{SERVER4}:{PORT}",
        relay=SERVER4,
        at_server=True,
    ),
    "coturn": Doctor(
        "port-taken",
        "error",
        "taken by turnserver (process ",
        mend="systemctl disable --now coturn",
        listen=f"{SERVER4}:{PORT}",
        relay=SERVER4,
        at_server=True,
    ),
}


def group(server, set_up):
    def setup(context):
        return Setting(set_up(context), context)

    rows = {**ROWS, "port of a server": AT_SERVER[server]}
    named = [(f"doctor at {server}, {name}", row) for name, row in rows.items()]
    return Group(setup, [Row(name, row, for_coturn=False) for name, row in named])


GROUP = group("uturn", probe.setup)
COTURN_GROUP = group("coturn", probe.setup_coturn)
