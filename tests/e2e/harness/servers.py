"""The server under test: uturn, or coturn for comparison."""

import re
from dataclasses import dataclass

from harness import stun
from harness.certificate import Certificates, make_certificates
from harness.network import SERVER4, SERVER4_SECOND, SERVER6
from harness.process import Service, find_program, wait_until

PORT = 3478
TLS_PORT = 5349
REALM = "uturn.test"
SECRET = "a secret of the test run, 32 bytes"
STATIC_USER = "static"
PASSWORD = "a password of the test run"
READY_SECONDS = 10


@dataclass
class Server:
    """A server that answers."""

    service: Service
    certificates: Certificates


def start_server(
    context, name, uturn_extra="", with_secret=True, uturn_auth="", coturn_extra=()
):
    """Starts the server under test in its namespace and returns once every port answers.

    Without the shared secret, uturn has static users alone. `uturn_auth` are further keys of its [auth],
    `coturn_extra` further options of coturn.
    """
    certificates = make_certificates(context.folder)
    if context.server == "uturn":
        command = uturn(context, name, certificates, (uturn_extra, uturn_auth), with_secret)
    else:
        command = [*coturn(context, certificates), *coturn_extra]
    service = Service(context.net.on_server(command), context.folder / f"{name}.log")
    context.stack.callback(service.stop)
    if not wait_until(lambda: answers() or service.has_ended(), READY_SECONDS) or not answers():
        raise RuntimeError(f"{context.server} does not answer:\n{service.last_words()}")
    return Server(service, certificates)


def answers():
    return (
        all(stun.answers_udp(address, PORT) for address in (SERVER4, SERVER6))
        and stun.accepts_tcp(SERVER4, PORT)
        and stun.accepts_tcp(SERVER4, TLS_PORT)
    )


def uturn(context, name, certificates, extras, with_secret):
    extra, auth = extras
    config = context.folder / f"{name}.toml"
    text = UTURN_CONFIG.format(certificates=certificates)
    if not with_secret:
        text = text.replace(f'shared_secrets = ["{SECRET}"]\n', "")
    realm = f'realm = "{REALM}"\n'
    text = text.replace(realm, realm + auth)
    write_secret(config, with_listeners(text, extra))
    return [context.binary, "serve", "--config", config]


def with_listeners(text, extra):
    """Both, with one [listen]: the keys of the second one stand in that of the first."""
    found = re.search(r"^\[listen\]\n(.*?)(?=^\[|\Z)", extra, re.MULTILINE | re.DOTALL)
    if not found:
        return text + extra
    keys = found.group(1).rstrip() + "\n"
    return text.replace("[listen]\n", "[listen]\n" + keys, 1) + extra.replace(found.group(0), "")


def write_secret(file, text):
    """Writes a file that nobody else may read: uturn warns of secrets that others can."""
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text)


UTURN_CONFIG = f"""\
[listen]
dtls = ["0.0.0.0:{TLS_PORT}", "[::]:{TLS_PORT}"]

[tls]
certificate = "{{certificates.certificate}}"
key = "{{certificates.key}}"

[auth]
realm = "{REALM}"
shared_secrets = ["{SECRET}"]

[[auth.users]]
name = "{STATIC_USER}"
password = "{PASSWORD}"

[relay]
addresses = ["{SERVER4}", "{SERVER6}"]
tcp = true
"""


def coturn(context, certificates):
    return [
        find_program("turnserver"),
        *["-n", "--no-cli", "--log-file", "stdout", "--simple-log"],
        *["--pidfile", context.folder / "coturn.pid", "--userdb", context.folder / "coturn.db"],
        *["-L", SERVER4, "-L", SERVER4_SECOND, "-L", SERVER6, "-E", SERVER4, "-E", SERVER6],
        *["-p", str(PORT), "--tls-listening-port", str(TLS_PORT)],
        *["--cert", certificates.certificate, "--pkey", certificates.key],
        *["--realm", REALM, "--use-auth-secret", f"--static-auth-secret={SECRET}"],
    ]
