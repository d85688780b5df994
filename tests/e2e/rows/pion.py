"""A client on pion/turn (Debian package golang-github-pion-turn.v2-dev), over TLS with ALPN `stun.turn`."""

import os

from harness.clients import E2E, GO_PACKAGES
from harness.credentials import time_limited
from harness.network import CLIENT4
from harness.process import run
from harness.report import Outcome
from harness.servers import REALM, SECRET

PEER = f"{CLIENT4}:7490"


def relays_for_pion(folder, server, address):
    """Builds the client, if it is not there, and has it relay messages through what listens at `address`."""
    program = folder / "pion"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GO_PACKAGES)}
    built = run(["go", "build", "-o", program, E2E / "pion/main.go"], 120, environment)
    if built.code != 0:
        return Outcome(False, "it cannot be built", built.output)
    name, password = time_limited(SECRET, "pion")
    authority = server.certificates.authority
    done = run([program, address, authority, name, password, REALM, PEER], 60)
    last = done.output.strip().splitlines()[-1:]
    return Outcome(done.code == 0, last[0] if last else "it says nothing", done.output)
