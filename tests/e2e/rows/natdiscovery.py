"""coturn's `turnutils_natdiscovery` and Debian's `stun` (package stun-client): what they make of NATs that are known.

The NATs are the kernel's, in the clients' namespace: what leaves from an address of theirs is masqueraded. One keeps the port
of a socket and lets in what it has sent to; the other gives each destination a port of its own.

`stun` speaks RFC 3489, which uturn does not answer; coturn does.
"""

import re
from dataclasses import dataclass

from harness.network import CLIENT4, SERVER4, SERVER4_SECOND
from harness.process import must, run
from harness.report import Group, Outcome, Row
from harness.servers import PORT, start_server

PATIENCE_SECONDS = 60
# What the clients bind to behind each NAT.
NAT, SYMMETRIC_NAT = "10.9.9.2", "10.9.9.3"

UTURN_CONFIG = f"""
[listen]
udp = ["{SERVER4}:{PORT}", "[::]:{PORT}"]

[nat_discovery]
alternate_addresses = ["{SERVER4_SECOND}"]
"""

RULES = f"""
table ip uturn_e2e {{
    chain nat {{
        type nat hook postrouting priority srcnat;
        ip saddr {NAT} masquerade
        ip saddr {SYMMETRIC_NAT} masquerade fully-random
    }}
}}
"""


def setup(context):
    start_server(context, "natdiscovery", UTURN_CONFIG)
    for address in (NAT, SYMMETRIC_NAT):
        must(["ip", "addr", "add", f"{address}/32", "dev", "lo"])
        context.stack.callback(must, ["ip", "addr", "del", f"{address}/32", "dev", "lo"])
    must(["nft", "-f", "-"], RULES)
    context.stack.callback(must, ["nft", "delete", "table", "ip", "uturn_e2e"])


@dataclass(frozen=True)
class Verdict:
    """What the client finds out, from a local address."""

    flags: str
    local: str
    expected: tuple

    def __call__(self, _setting):
        command = ["turnutils_natdiscovery", *self.flags.split(), "-L", self.local]
        done = run([*command, "-p", PORT, SERVER4], PATIENCE_SECONDS)
        kinds = r"(Endpoint Independent|Address Dependent|Address and Port Dependent)"
        found = tuple(re.findall(rf"NAT with {kinds} (?:Mapping|Filtering)!", done.output))
        figures = ", ".join(found) or "no verdict"
        return Outcome(found == self.expected, figures, done.output[-3000:])


def old_client(_setting):
    """RFC 3489 is not spoken: the client is told nothing, and says so."""
    done = run(["stun", f"{SERVER4}:{PORT}"], PATIENCE_SECONDS)
    said = re.search(r"Primary: (.*?)\s*$", done.output, re.M)
    figures = said[1] if said else "no verdict"
    return Outcome(figures.startswith("Blocked or could not reach"), figures, done.output)


INDEPENDENT, DEPENDENT = "Endpoint Independent", "Address and Port Dependent"

GROUP = Group(
    setup,
    [
        Row("natdiscovery, no NAT", Verdict("-m -f", CLIENT4, (INDEPENDENT, INDEPENDENT))),
        Row(
            "natdiscovery, no NAT, padding",
            Verdict("-m -f -P", CLIENT4, (INDEPENDENT, INDEPENDENT)),
        ),
        Row("natdiscovery, NAT", Verdict("-m -f", NAT, (INDEPENDENT, DEPENDENT))),
        Row(
            "natdiscovery, symmetric NAT",
            Verdict("-m -f", SYMMETRIC_NAT, (DEPENDENT, DEPENDENT)),
        ),
        Row("stun (RFC 3489) is not answered", old_client, for_coturn=False),
    ],
)
