"""`uturn probe` against uturn and against coturn, in networks whose faults are known: its verdict has to name them.

Each network is an address that the probe sends from. What gets through from there is decided in the server's namespace; the NATs
are those of the clients' namespace.
"""

import json
from dataclasses import dataclass, field, replace

from harness import stun
from harness.network import CLIENT4, CLIENT6, SERVER4, SERVER4_SECOND, SERVER6
from harness.process import must, run, wait_until
from harness.report import Group, Outcome, Row
from harness.servers import PORT, SECRET, TLS_PORT, start_server, write_secret

PATIENCE_SECONDS = 20
HTTPS_PORT = 443
NO_UDP, ONLY_HTTPS, NO_RELAY_RANGE = "1.2.3.21", "1.2.3.22", "1.2.3.23"
NOTHING = "1.2.3.24"
NAT, SYMMETRIC_NAT = "10.9.9.12", "10.9.9.13"
ADDRESSES = {
    NO_UDP: "client",
    ONLY_HTTPS: "client",
    NO_RELAY_RANGE: "client",
    NOTHING: "client",
    NAT: "lo",
    SYMMETRIC_NAT: "lo",
}

UTURN_CONFIG = f"""
[listen]
udp = ["{SERVER4}:{PORT}", "[::]:{PORT}"]
tls = ["0.0.0.0:5349", "[::]:5349", "0.0.0.0:{HTTPS_PORT}"]

[nat_discovery]
alternate_addresses = ["{SERVER4_SECOND}"]
"""

NATS = f"""
table ip uturn_probe {{
    chain nat {{
        type nat hook postrouting priority srcnat;
        ip saddr {NAT} masquerade
        ip saddr {SYMMETRIC_NAT} masquerade fully-random
    }}
}}
"""

# On the way in, before the server sees anything.
FIREWALL = f"""
table ip uturn_probe {{
    chain way {{
        type filter hook input priority filter;
        ip saddr {NO_UDP} meta l4proto udp drop
        ip saddr {ONLY_HTTPS} tcp dport {HTTPS_PORT} accept
        ip saddr {ONLY_HTTPS} drop
        ip saddr {NO_RELAY_RANGE} udp dport 49152-65535 drop
        ip saddr {NOTHING} drop
    }}
}}
"""


@dataclass
class Setting:
    """What a probe is started with."""

    binary: object
    authority: object
    secret: object
    wrong: object


def setup(context, second_address=True):
    config = UTURN_CONFIG if second_address else UTURN_CONFIG.split("[nat_discovery]")[0]
    more = ("--alt-tls-listening-port", HTTPS_PORT)
    server = start_server(context, "probe", config, coturn_extra=more)
    stack = context.stack
    for address, device in ADDRESSES.items():
        must(["ip", "addr", "add", f"{address}/32", "dev", device])
        stack.callback(must, ["ip", "addr", "del", f"{address}/32", "dev", device])
    for place, rules in ((list, NATS), (context.net.on_server, FIREWALL)):
        must(place(["nft", "-f", "-"]), rules)
        stack.callback(must, place(["nft", "delete", "table", "ip", "uturn_probe"]))
    secret, wrong = context.folder / "probe.secret", context.folder / "probe.wrong"
    write_secret(secret, SECRET)
    write_secret(wrong, "another secret, of 32 bytes or so")
    if not wait_until(lambda: stun.accepts_tcp(SERVER4, HTTPS_PORT), PATIENCE_SECONDS):
        raise RuntimeError(f"nobody listens on {HTTPS_PORT}")
    return Setting(context.binary, server.certificates.authority, secret, wrong)


def setup_coturn(context):
    return setup(replace(context, server="coturn"))


def setup_one_address(context):
    return setup(context, second_address=False)


@dataclass(frozen=True)
class Probe:
    """What the verdict has to be for a probe that sends from an address."""

    source: str
    conclusion: str
    # Stands in the sentence.
    says: str
    nat: dict = field(default_factory=dict)
    server: str = SERVER4
    wrong_secret: bool = False
    # What UDP has to have come to, where it comes to anything.
    relay_range: str = "open"
    relays: tuple = ("dtls", "tcp", "tls", "udp")
    note: str = ""

    def __call__(self, setting):
        secret = setting.wrong if self.wrong_secret else setting.secret
        done = run(
            [
                *[setting.binary, "probe", self.server, "--source", self.source, "--json"],
                *["--secret-file", secret, "--ca", setting.authority],
                *["--timeout", "1s", "--packets", "20"],
            ],
            PATIENCE_SECONDS,
        )
        try:
            report = json.loads(done.output)
        except ValueError:
            return Outcome(False, "no report", done.output)
        verdict = report["verdict"]
        right = (
            verdict["conclusion"] == self.conclusion
            and self.says in verdict["sentence"]
            and done.code == (0 if self.conclusion == "works" else 1)
            and verdict["good"] == (self.conclusion == "works")
            and self.has_relayed(report)
            and self.is_nat(report)
            and self.note in " ".join(verdict["notes"])
        )
        return Outcome(right, verdict["sentence"], json.dumps(report, indent=1))

    def has_relayed(self, report):
        relayed = [a for a in report["attempts"] if (a["relay"] or {}).get("received")]
        lossless = all(a["relay"]["received"] == 20 for a in relayed)
        paths = {a["relay"]["path"] for a in relayed}
        ranges = {a["relay_range"] for a in relayed if a["transport"] == "udp"}
        return (
            {a["transport"] for a in relayed} == set(self.relays)
            and lossless
            and paths <= {"relay-to-relay"}
            and ranges <= {self.relay_range}
        )

    def is_nat(self, report):
        if not self.nat:
            return True
        found = report["nat"][0] if report["nat"] else {}
        return all(found.get(key) == value for key, value in self.nat.items())


INDEPENDENT, DEPENDENT = "endpoint-independent", "address-and-port-dependent"
ALL_RELAY = "Works: UDP, TCP and TLS all relay; "

PROBES = {
    "open": Probe(
        CLIENT4,
        "works",
        ALL_RELAY,
        {"is_there": False, "mapping": INDEPENDENT, "filtering": INDEPENDENT, "hairpins": None},
        note=f"DTLS to {SERVER4}:{TLS_PORT} works as well",
    ),
    "DTLS": Probe(
        CLIENT4,
        "works",
        "Works: DTLS relays; ",
        server=f"turns:{SERVER4}:{TLS_PORT}?transport=udp",
        relays=("dtls",),
    ),
    "NAT": Probe(
        NAT, "works", ALL_RELAY, {"is_there": True, "mapping": INDEPENDENT, "filtering": DEPENDENT}
    ),
    "symmetric NAT": Probe(
        SYMMETRIC_NAT,
        "works",
        ALL_RELAY,
        {"is_there": True, "mapping": DEPENDENT, "filtering": DEPENDENT},
    ),
    "UDP blocked": Probe(
        NO_UDP,
        "udp-blocked",
        f"UDP to {SERVER4}:{PORT} is blocked on the way (TCP and TLS work): open UDP {PORT}",
        relays=("tcp", "tls"),
    ),
    "443 only": Probe(
        ONLY_HTTPS,
        "only-tls443",
        f"Only TLS on 443 gets through: give your app turns:{SERVER4}:443,",
        relays=("tls",),
    ),
    "relay range closed": Probe(
        NO_RELAY_RANGE,
        "relay-range-closed",
        "The server allocates but its relay range cannot be reached from here",
        relay_range="closed",
    ),
    "nothing gets through": Probe(
        NOTHING, "silent", f"Nothing comes back from {SERVER4} over UDP, TCP and TLS", relays=()
    ),
    "wrong secret": Probe(
        CLIENT4,
        "credential",
        "The server refuses the credential: 401 ",
        wrong_secret=True,
        relays=(),
    ),
    "IPv6": Probe(CLIENT6, "works", ALL_RELAY, server=SERVER6),
}


# Without RFC 5780, it is the relay that tells.
ONE_ADDRESS_PROBES = {
    "one address, NAT": replace(
        PROBES["NAT"], nat={"mapping": "port-independent", "filtering": "unknown"}
    ),
    "one address, symmetric NAT": replace(
        PROBES["symmetric NAT"], nat={"mapping": DEPENDENT, "filtering": "unknown"}
    ),
}


def group(set_up, server, probes):
    rows = [(f"probe of {server}, {name}", probe) for name, probe in probes.items()]
    return Group(set_up, [Row(name, probe, for_coturn=False) for name, probe in rows])


GROUP = group(setup, "uturn", PROBES)
ONE_ADDRESS_GROUP = group(setup_one_address, "uturn", ONE_ADDRESS_PROBES)
COTURN_GROUP = group(setup_coturn, "coturn", PROBES)
