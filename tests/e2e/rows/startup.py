"""Starting and stopping: a port in use is named in one message, and nothing half-starts."""

import re
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from harness import stun
from harness.certificate import make_certificates
from harness.process import Service, find_program, run, wait_until
from harness.report import Group, Outcome, Row
from harness.servers import SECRET, write_secret

ADDRESS = "127.0.0.1"
PORT = 13478
TLS_PORT = 15349
API_PORT = 13480
PATIENCE_SECONDS = 10
FAILED_TO_START = 1

CONFIG = """\
[listen]
udp = ["{address}:{port}"]
tcp = ["{address}:{port}"]
tls = ["{address}:{tls_port}"]

[tls]
certificate = "{certificates.certificate}"
key = "{certificates.key}"

[auth]
realm = "uturn.test"
shared_secrets = ["{secret}"]

[relay]
addresses = ["{address}"]

[api]
listen = ["{address}:{api_port}"]
"""


@dataclass
class Setting:
    """How to start uturn, here in the clients' namespace."""

    context: object
    command: list

    def log(self, name):
        return self.context.folder / f"startup-{name}.log"


def setup(context):
    config = context.folder / "startup.toml"
    write_secret(
        config,
        CONFIG.format(
            certificates=make_certificates(context.folder),
            address=ADDRESS,
            port=PORT,
            tls_port=TLS_PORT,
            api_port=API_PORT,
            secret=SECRET,
        ),
    )
    return Setting(context, [context.binary, "serve", "--config", config])


@dataclass(frozen=True)
class PortInUse:
    """The program has to end by itself, with one message that names the port."""

    hold: Callable
    port: int

    def __call__(self, setting):
        with ExitStack() as stack:
            self.hold(setting, stack)
            done = run(setting.command, PATIENCE_SECONDS)
        if done.timed_out:
            return Outcome(False, "the program did not end", done.output)
        messages = re.findall(r" ERROR (.*)", done.output)
        one_message = len(messages) == 1 and f"{ADDRESS}:{self.port}" in messages[0]
        first = messages[0].split(" (")[0] if messages else "no message"
        figures = f"exit code {done.code}, {first}"
        return Outcome(one_message and done.code == FAILED_TO_START, figures, done.output)


def socket_at(kind, port, share=False):
    """Holds a port with a socket of this process; `share` sets SO_REUSEPORT."""

    def hold(_setting, stack):
        holder = stack.enter_context(socket.socket(socket.AF_INET, kind))
        if share:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((ADDRESS, port))
        if kind == socket.SOCK_STREAM:
            holder.listen()

    return hold


def coturn(setting, stack):
    """Holds the ports with coturn, which shares them with whoever asks."""
    start_holder(
        setting,
        stack,
        "coturn",
        [
            find_program("turnserver"),
            *["-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file", "stdout"],
            *["--pidfile", setting.context.folder / "holder.pid"],
            *["--userdb", setting.context.folder / "holder.db"],
            *["-L", ADDRESS, "-p", str(PORT), "--use-auth-secret", "--static-auth-secret=s"],
        ],
    )


def another_uturn(setting, stack):
    start_holder(setting, stack, "uturn", setting.command)


def start_holder(setting, stack, name, command):
    service = Service(command, setting.log(name))
    stack.callback(service.stop)
    if not wait_until(lambda: stun.answers_udp(ADDRESS, PORT) or service.has_ended(), 10):
        raise RuntimeError(f"{name} does not answer:\n{service.last_words()}")
    if service.has_ended():
        raise RuntimeError(f"{name} ended:\n{service.last_words()}")


@dataclass(frozen=True)
class StopsOn:
    """A signal has to end the program with exit code 0, and free its ports."""

    number: signal.Signals

    def __call__(self, setting):
        with ExitStack() as stack:
            service = Service(setting.command, setting.log("signal"))
            stack.callback(service.stop)
            if not wait_until(lambda: stun.answers_udp(ADDRESS, PORT), 10):
                return Outcome(False, "the program does not answer", service.last_words())
            code = service.stop(self.number)
            answers = stun.accepts_tcp(ADDRESS, PORT)
        figures = f"exit code {code}" + (", still answers" if answers else "")
        words = service.last_words()
        return Outcome(code == 0 and not answers and "panicked" not in words, figures, words)


UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM

GROUP = Group(
    setup,
    [
        Row(name, check, alone=True, for_coturn=False)
        for name, check in [
            ("startup, udp port in use", PortInUse(socket_at(UDP, PORT), PORT)),
            ("startup, udp port shared by another", PortInUse(socket_at(UDP, PORT, True), PORT)),
            ("startup, tcp port in use", PortInUse(socket_at(TCP, PORT), PORT)),
            ("startup, tcp port shared by another", PortInUse(socket_at(TCP, PORT, True), PORT)),
            ("startup, tls port in use", PortInUse(socket_at(TCP, TLS_PORT), TLS_PORT)),
            ("startup, http port in use", PortInUse(socket_at(TCP, API_PORT), API_PORT)),
            ("startup, ports held by coturn", PortInUse(coturn, PORT)),
            ("startup, ports held by another uturn", PortInUse(another_uturn, PORT)),
            ("stops on SIGTERM", StopsOn(signal.SIGTERM)),
            ("stops on SIGINT", StopsOn(signal.SIGINT)),
        ]
    ],
)
