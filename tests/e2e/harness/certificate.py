"""A certificate authority of the test's own, one below it, and the server's certificate."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.network import SERVER4, SERVER6


@dataclass(frozen=True)
class Certificates:
    """PEM files."""

    # What clients trust.
    authority: Path
    # Followed by that of the authority below: clients cannot do without it.
    certificate: Path
    key: Path


def make_certificates(folder):
    """Writes two authorities, and a certificate of the lower one for the server's addresses."""
    made = Certificates(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    authority_key = folder / "authority.key"
    lower, lower_key = folder / "lower.pem", folder / "lower.key"
    new_key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split()
    openssl(
        *new_key,
        *["-subj", "/CN=uturn e2e authority", "-addext", "keyUsage=critical,keyCertSign"],
        *["-keyout", authority_key, "-out", made.authority],
    )
    openssl(
        *new_key,
        *["-subj", "/CN=uturn e2e lower authority", "-addext", "keyUsage=critical,keyCertSign"],
        *["-CA", made.authority, "-CAkey", authority_key, "-keyout", lower_key, "-out", lower],
    )
    openssl(
        *new_key,
        *["-subj", f"/CN={SERVER4}", "-CA", lower, "-CAkey", lower_key],
        *["-addext", f"subjectAltName=IP:{SERVER4},IP:{SERVER6}"],
        *["-addext", "basicConstraints=critical,CA:FALSE"],
        *["-addext", "extendedKeyUsage=serverAuth"],
        *["-keyout", made.key, "-out", made.certificate],
    )
    with made.certificate.open("a") as chain:
        chain.write(lower.read_text())
    return made


def openssl(*arguments):
    result = subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {result.stderr.strip()}")
