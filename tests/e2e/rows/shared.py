"""TURN, TURNS and HTTPS on port 443: `turnutils_uclient`, OpenSSL, Chromium, and a client on pion/turn."""

import http.client
import json
import ssl
from dataclasses import dataclass

from harness.clients import CHROMIUM
from harness.network import SERVER4
from harness.process import run
from harness.report import Group, Outcome, Row
from harness.servers import start_server
from rows.chromium import API_KEY, PAGE_ORIGIN, Call, public_key_hash
from rows.pion import relays_for_pion
from rows.uclient import UTURN_CONFIG, Relays

SHARED_PORT = 443
TURNS = f"turns:{SERVER4}:{SHARED_PORT}?transport=tcp"
TURN = f"turn:{SERVER4}:{SHARED_PORT}?transport=tcp"

CONFIG = f"""\
{UTURN_CONFIG}
[listen]
shared = ["{SERVER4}:{SHARED_PORT}"]

[api]
listen = []
origins = ["{PAGE_ORIGIN}"]
uris = {json.dumps([TURNS, TURN])}

[[api.keys]]
name = "e2e"
secret = "{API_KEY}"
"""


@dataclass
class Setting:
    """The server, what Chromium is to do, and the folder that programs are built in."""

    server: object
    task: dict
    folder: object


def setup(context):
    server = start_server(context, "shared", CONFIG)
    task = {
        "chromium": CHROMIUM,
        "origin": PAGE_ORIGIN,
        "pin": public_key_hash(server.certificates.certificate),
        "ask": {"endpoint": f"https://{SERVER4}/ice", "key": API_KEY},
    }
    return Setting(server, task, context.folder)


@dataclass(frozen=True)
class Agreed:
    """What OpenSSL's client and the server agree upon, where the client offers this."""

    offered: str
    expected: str

    def __call__(self, setting):
        alpn = ["-alpn", self.offered] if self.offered else []
        authority = setting.server.certificates.authority
        done = run(
            [
                *["openssl", "s_client", "-connect", f"{SERVER4}:{SHARED_PORT}", *alpn],
                *["-verify_return_error", "-CAfile", authority],
            ],
            timeout=10,
        )
        passed = self.expected in done.output
        return Outcome(passed, self.expected if passed else "something else", done.output)


def https(setting):
    """A request of OpenSSL's client in Python, with ALPN and without."""
    for protocols in (["http/1.1"], []):
        context = ssl.create_default_context(cafile=setting.server.certificates.authority)
        if protocols:
            context.set_alpn_protocols(protocols)
        connection = http.client.HTTPSConnection(SERVER4, SHARED_PORT, context=context, timeout=10)
        for _ in range(3):
            headers = {"Authorization": f"Bearer {API_KEY}"}
            connection.request("GET", "/ice", headers=headers)
            answer = connection.getresponse()
            body = answer.read().decode()
            if answer.status != 200 or TURNS not in body:
                return Outcome(False, f"{answer.status}", body)
        connection.close()
    return Outcome(True, "6 of 6 requests answered over 2 connections")


def pion(setting):
    return relays_for_pion(setting.folder, setting.server, f"{SERVER4}:{SHARED_PORT}")


@dataclass(frozen=True)
class CallWithPageOverHttps:
    """A call over one URL, whose page fetches its credentials from the same port."""

    url: str
    via: str

    def __call__(self, setting):
        return Call(self.url, self.via)(setting.task)


TLS = f"-t -S -p {SHARED_PORT}"
TCP = f"-t -p {SHARED_PORT}"

GROUP = Group(
    setup,
    [
        Row("one port: uclient tls", Relays(f"-y -c {TLS}"), for_coturn=False),
        Row("one port: uclient tcp", Relays(f"-y -c {TCP}"), for_coturn=False),
        Row("one port: https", https, for_coturn=False),
        *[
            Row(f"one port: openssl ALPN {name}", Agreed(offered, expected), for_coturn=False)
            for name, offered, expected in [
                ("stun.turn", "stun.turn", "ALPN protocol: stun.turn"),
                (
                    "stun.nat-discovery",
                    "stun.nat-discovery",
                    "ALPN protocol: stun.nat-discovery",
                ),
                ("http/1.1", "h2,http/1.1", "ALPN protocol: http/1.1"),
                ("none", "", "No ALPN negotiated"),
                ("another", "h2", "no application protocol"),
            ]
        ],
        Row("one port: pion, ALPN stun.turn", pion, for_coturn=False),
        Row(
            "one port: chromium turns and https",
            CallWithPageOverHttps(TURNS, "tls"),
            alone=True,
            for_coturn=False,
        ),
        Row(
            "one port: chromium turn tcp and https",
            CallWithPageOverHttps(TURN, "tcp"),
            alone=True,
            for_coturn=False,
        ),
    ],
)
