"""Headless Chromium: a page calls itself through the server, with credentials that it fetches.

The page comes from another origin than the credentials endpoint, so CORS has to allow it. coturn
has no such endpoint: its page is given the credentials.
"""

import base64
import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness import stun
from harness.clients import CHROMIUM, E2E
from harness.credentials import time_limited
from harness.network import SERVER4, SERVER6
from harness.process import Service, run, wait_until
from harness.report import Group, Outcome, Row
from harness.servers import PORT, SECRET, TLS_PORT, start_server
from rows.aiortc import outcome_of_call

PATIENCE_SECONDS = 150
API = f"http://{SERVER4}:3480"
API_KEY = "an API key of the test run"
PAGE_ORIGIN = "http://127.0.0.1:8080"

UDP = f"turn:{SERVER4}:{PORT}?transport=udp"
UDP6 = f"turn:[{SERVER6}]:{PORT}?transport=udp"
TCP = f"turn:{SERVER4}:{PORT}?transport=tcp"
TLS = f"turns:{SERVER4}:{TLS_PORT}?transport=tcp"

UTURN_CONFIG = f"""
[api]
listen = ["{SERVER4}:3480"]
origins = ["{PAGE_ORIGIN}"]
uris = {json.dumps([UDP, UDP6, TCP, TLS])}

[[api.keys]]
name = "e2e"
secret = "{API_KEY}"
"""


def setup(context):
    """A server with the credentials endpoint, and what its certificate's key hashes to."""
    server = start_server(context, "chromium", UTURN_CONFIG)
    task = {
        "chromium": CHROMIUM,
        "origin": PAGE_ORIGIN,
        "pin": public_key_hash(server.certificates.certificate),
    }
    if context.server == "uturn":
        task["ask"] = {"endpoint": f"{API}/ice", "key": API_KEY}
    return task


def public_key_hash(certificate: Path):
    """SHA-256 of the SubjectPublicKeyInfo, base64."""
    pem = subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-pubkey"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    der = base64.b64decode("".join(pem.splitlines()[1:-1]))
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


@dataclass(frozen=True)
class Call:
    """A data channel and VP8 video over one URL of the server."""

    url: str
    via: str

    def __call__(self, setting):
        task = {**setting, "url": self.url}
        if "ask" not in task:
            username, credential = time_limited(SECRET, "chromium")
            task["iceServer"] = {"urls": [self.url], "username": username, "credential": credential}
        done = run(["node", E2E / "chromium/drive.mjs", json.dumps(task)], PATIENCE_SECONDS)
        outcome = outcome_of_call(done)
        if outcome.passed and f"via {self.via}," not in outcome.figures:
            return Outcome(False, outcome.figures, f"the call did not go through {self.via}")
        return outcome


def setup_dev(context):
    """`uturn dev` on the browser's own machine: no configuration, no key."""
    service = Service([context.binary, "dev"], context.folder / "dev.log")
    context.stack.callback(service.stop)
    ready = wait_until(lambda: stun.answers_udp("127.0.0.1", PORT) or service.has_ended(), 10)
    if not ready or service.has_ended():
        raise RuntimeError(f"uturn dev does not answer:\n{service.last_words()}")
    return {
        "chromium": CHROMIUM,
        "origin": PAGE_ORIGIN,
        "ask": {"endpoint": "http://127.0.0.1:3480/ice"},
    }


DEV_GROUP = Group(
    setup_dev,
    [
        Row(
            f"chromium with uturn dev, {via}",
            Call(f"turn:127.0.0.1:{PORT}?transport={via}", via),
            alone=True,
            for_coturn=False,
        )
        for via in ("udp", "tcp")
    ],
)

GROUP = Group(
    setup,
    [
        Row("chromium turn udp", Call(UDP, "udp"), alone=True),
        Row("chromium turn udp, IPv6", Call(UDP6, "udp"), alone=True),
        Row("chromium turn tcp", Call(TCP, "tcp"), alone=True),
        Row("chromium turns", Call(TLS, "tls"), alone=True),
    ],
)
