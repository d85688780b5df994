"""One `turnserver.conf`, served by coturn as it is, and by uturn through `uturn import-coturn`.

`turnutils_uclient` is called in the same way for both. It takes channel numbers from the whole of RFC 5766's range:
coturn 4.6 always allows that, and passes over the option of that name, which later ones need.
"""

from harness.certificate import make_certificates
from harness.network import SERVER4, SERVER6
from harness.process import Service, find_program, run, wait_until
from harness.report import Group, Row
from harness.servers import PORT, READY_SECONDS, REALM, SECRET, TLS_PORT, answers, write_secret
from rows.uclient import FORBIDDEN, PEER4, TCP, TLS, UDP, Refused, Relays, start_peer

CONF = """\
listening-port={port}
tls-listening-port={tls_port}
listening-ip={server4}
listening-ip={server6}
fingerprint
use-auth-secret
static-auth-secret={secret}
realm={realm}
cert={certificates.certificate}
pkey={certificates.key}
min-port=50000
max-port=59999
rfc5766-channel-numbers
no-tcp-relay
no-multicast-peers
denied-peer-ip=10.0.0.0-10.255.255.255
no-cli
"""


def setup(context):
    certificates = make_certificates(context.folder)
    conf = context.folder / "imported.conf"
    write_secret(
        conf,
        CONF.format(
            port=PORT,
            tls_port=TLS_PORT,
            server4=SERVER4,
            server6=SERVER6,
            secret=SECRET,
            realm=REALM,
            certificates=certificates,
        ),
    )
    command = uturn(context, conf) if context.server == "uturn" else coturn(context, conf)
    service = Service(context.net.on_server(command), context.folder / "imported.log")
    context.stack.callback(service.stop)
    if not wait_until(lambda: answers() or service.has_ended(), READY_SECONDS) or not answers():
        raise RuntimeError(f"{context.server} does not answer:\n{service.last_words()}")
    start_peer(context)


def uturn(context, conf):
    config = context.folder / "imported.toml"
    done = run([context.binary, "import-coturn", conf, "--output", config, "--force"], 10)
    if done.code != 0:
        raise RuntimeError(f"uturn import-coturn has refused the file:\n{done.output}")
    return [context.binary, "serve", "--config", config]


def coturn(context, conf):
    return [
        *[find_program("turnserver"), "-c", conf, "--log-file", "stdout", "--simple-log"],
        *["--pidfile", context.folder / "imported.pid", "--userdb", context.folder / "imported.db"],
    ]


GROUP = Group(
    setup,
    [
        Row("imported udp, channels, to a peer", Relays(f"-c {UDP} {PEER4}")),
        Row("imported udp, Send, client to client", Relays(f"-y -c -s {UDP}")),
        Row("imported tcp, channels, to a peer", Relays(f"-c {TCP} {PEER4}")),
        # coturn's records hold several messages, which this client counts as one.
        Row("imported tls, channels, to a peer", Relays(f"-c {TLS} {PEER4}"), for_coturn=False),
        Row("imported refused: a denied peer", Refused(FORBIDDEN, f"-c {UDP} -e 10.0.0.1")),
    ],
)
