"""`openssl s_client`: protocol versions and the certificate chain of the TLS and DTLS listeners."""

import re
from dataclasses import dataclass

from harness.network import SERVER4, SERVER6
from harness.process import run
from harness.report import Group, Outcome, Row
from harness.servers import TLS_PORT, start_server


def setup(context):
    return start_server(context, "tls")


@dataclass(frozen=True)
class Handshake:
    """A handshake with one version has to succeed, with a chain that verifies, or to be refused."""

    version: str
    accepted: bool
    server: str = SERVER4

    def __call__(self, server):
        host = f"[{self.server}]" if ":" in self.server else self.server
        done = run(
            [
                *["openssl", "s_client", "-connect", f"{host}:{TLS_PORT}", "-verify_return_error"],
                *["-CAfile", server.certificates.authority, "-verify_ip", self.server],
                *[f"-{self.version}", "-cipher", "ALL:@SECLEVEL=0"],
            ],
            timeout=10,
        )
        # It names DTLS by the version of TLS that it is made from.
        agreed = re.search(r"New, (TLSv[\d.]+), Cipher is (\S+)", done.output)
        verified = "Verify return code: 0 (ok)" in done.output
        figures = f"{agreed[1]}, {agreed[2]}" if agreed else "no version agreed on"
        if self.accepted:
            return Outcome(bool(agreed) and verified and done.code == 0, figures, done.output)
        return Outcome(not agreed and not done.timed_out, figures, done.output)


GROUP = Group(
    setup,
    [
        Row("openssl TLS 1.3, chain verified", Handshake("tls1_3", True)),
        Row("openssl TLS 1.3, IPv6", Handshake("tls1_3", True, SERVER6)),
        Row("openssl TLS 1.2, chain verified", Handshake("tls1_2", True)),
        Row("openssl DTLS 1.2, chain verified", Handshake("dtls1_2", True)),
        Row("openssl DTLS 1.2, IPv6", Handshake("dtls1_2", True, SERVER6)),
        Row("openssl DTLS 1.0 refused", Handshake("dtls1", False), for_coturn=False),
        Row("openssl TLS 1.1 refused", Handshake("tls1_1", False), for_coturn=False),
        Row("openssl TLS 1.0 refused", Handshake("tls1", False), for_coturn=False),
    ],
)
