"""coturn's `turnutils_uclient` and `turnutils_peer` (Debian package coturn).

Each row runs some clients that send numbered messages through the server and count what comes
back. Nothing may be lost. What this client asks of a server:

- With `-Z`, a second relayed address by the numbers of the drafts before RFC 8656: `draft_address_families = true`.
- Channel numbers from the whole of RFC 5766's range, at random: `channel_numbers = "rfc5766"`.
  Two numbers of one client collide once in 16384 times, which a server has to refuse (RFC 8656
  §12); such a run says nothing and is repeated.
- Before each pair of clients it makes one more allocation and forgets it, so a user holds more than
  it seems to: the quotas are raised.
- It takes each 401 for a new challenge and answers it, 32 times, before it gives up.
- With `-T` its clients connect to each other by RFC 6062, with `-P` each waits for the other: then half of them hear nothing, as
  they listen where nobody sends. With `-M` each moves to another port once it has its allocation, and takes no ticket longer than 32
  characters.
- Over TLS it takes one record for one message and counts several messages in a record as one.
  coturn writes such records, so coturn's own rows over TLS fail.
"""

import re
from dataclasses import dataclass

from harness.credentials import time_limited
from harness.network import CLIENT4, CLIENT6, SERVER4, SERVER4_SECOND, SERVER6
from harness.process import Service, run, wait_until
from harness.report import Group, Outcome, Row
from harness.servers import (
    PASSWORD,
    PORT,
    SECRET,
    STATIC_USER,
    TLS_PORT,
    start_server,
)
from harness.stun import echoes_udp

PEER_PORT = 7480
PATIENCE_SECONDS = 90
MESSAGE_BYTES = 170  # Not a multiple of 4: ChannelData is padded on streams (RFC 8656 §12.4).

UTURN_CONFIG = """
[turn]
channel_numbers = "rfc5766"
draft_address_families = true
mobility = true

[limits]
allocations_per_user = 4096
allocations_per_client_address = 4096
"""


def setup(context):
    """A server, and an echoing peer in the clients' namespace."""
    start_server(context, "uclient", UTURN_CONFIG)
    start_peer(context)


def start_peer(context):
    """An echoing peer in the clients' namespace."""
    peer = Service(
        ["turnutils_peer", "-p", PEER_PORT, "-L", CLIENT4, "-L", CLIENT6],
        context.folder / "peer.log",
    )
    context.stack.callback(peer.stop)
    peers = (CLIENT4, CLIENT6)
    if not wait_until(lambda: all(echoes_udp(address, PEER_PORT) for address in peers), 10):
        raise RuntimeError(f"turnutils_peer does not answer:\n{peer.last_words()}")


@dataclass(frozen=True)
class Relays:
    """Every message sent has to come back."""

    flags: str
    server: str = SERVER4
    credentials: tuple = ("-u", "uclient", "-W", SECRET)
    clients: int = 4
    messages: int = 20

    def __call__(self, _setting):
        outcome, output = self.attempt()
        if "channel bind: error 400" in output:
            outcome, output = self.attempt()
            outcome.figures += " (repeated: two channels had one number)"
        return outcome

    def attempt(self):
        numbers = ["-m", self.clients, "-n", self.messages, "-l", MESSAGE_BYTES]
        done = uclient([*numbers, *self.credentials, *self.flags.split()], self.server)
        expected = self.clients * self.messages
        sent = last_number(r"tot_send_msgs=(\d+)", done.output)
        received = last_number(r"tot_recv_msgs=(\d+)", done.output)
        lost = last_number(r"Total lost packets (\d+)", done.output)
        passed = done.code == 0 and sent == received == expected and lost == 0
        figures = f"sent {sent} of {expected}, received {received}, lost {lost}"
        if done.timed_out:
            figures += f", still running after {PATIENCE_SECONDS} s"
        return Outcome(passed, figures, complaints(done.output)), done.output


@dataclass(frozen=True)
class Refused:
    """The client has to give up for this reason, and nothing may be relayed."""

    reason: str
    flags: str
    credentials: tuple = ("-u", "uclient", "-W", SECRET)

    def __call__(self, _setting):
        flags = ["-m", 1, "-n", 1, *self.credentials, *self.flags.split()]
        done = uclient(flags, SERVER4)
        sent = last_number(r"tot_send_msgs=(\d+)", done.output)
        said = re.findall(r"error \d{3} \(.*?\)|Cannot complete Allocation", done.output)
        passed = done.code not in (0, None) and not sent
        passed = passed and bool(said) and said[-1].startswith(self.reason)
        figures = said[-1] if said else "the client names no reason"
        return Outcome(passed, figures, complaints(done.output))


@dataclass(frozen=True)
class Passive(Relays):
    """Half of what is sent has to come back."""

    def attempt(self):
        outcome, output = super().attempt()
        expected = self.clients * self.messages
        sent = last_number(r"tot_send_msgs=(\d+)", output)
        received = last_number(r"tot_recv_msgs=(\d+)", output)
        passed = sent == expected and received is not None and 2 * received >= expected
        return Outcome(passed, outcome.figures, outcome.detail), output


def uclient(arguments, server):
    return run(["turnutils_uclient", *arguments, server], PATIENCE_SECONDS)


def last_number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else None


def complaints(output):
    """What the client complains of, less the TLS versions that it tries in vain."""
    lines = [line for line in output.splitlines() if re.search(r"error|cannot|wrong", line, re.I)]
    lines = [line for line in lines if not re.search(r"tls_connect: cannot|errno=0", line)]
    return "\n".join(lines[:10]) or output[-1000:]


def expired():
    name, password = time_limited(SECRET, "uclient", lifetime=-10)
    return ("-u", name, "-w", password)


UDP = f"-p {PORT}"
TCP = f"-t -p {PORT}"
TLS = f"-t -S -p {TLS_PORT}"
DTLS = f"-S -p {TLS_PORT}"
PEER4 = f"-e {CLIENT4} -r {PEER_PORT}"
PEER6 = f"-e {CLIENT6} -r {PEER_PORT} -x"
UNAUTHORIZED = "Cannot complete Allocation"
FORBIDDEN = "error 403"
STATIC = ("-u", STATIC_USER, "-w", PASSWORD)
LOAD = {"clients": 50, "messages": 200}

GROUP = Group(
    setup,
    [
        Row("uclient udp, channels, client to client", Relays(f"-y -c {UDP}")),
        Row("uclient udp, Send, client to client", Relays(f"-y -c -s {UDP}")),
        Row("uclient udp, channels, to a peer", Relays(f"-c {UDP} {PEER4}")),
        Row("uclient udp, Send, to a peer", Relays(f"-c -s {UDP} {PEER4}")),
        Row("uclient udp, even port and reservation", Relays(f"-y {UDP}")),
        Row("uclient udp, padded ChannelData", Relays(f"-y -c -D {UDP}")),
        Row("uclient udp, DONT-FRAGMENT", Relays(f"-y -c -s -g {UDP}")),
        Row("uclient udp, repeated permissions and binds", Relays(f"-y -c -G {UDP}")),
        Row("uclient udp, second address of the server", Relays(f"-y -c {UDP}", SERVER4_SECOND)),
        Row("uclient udp, IPv6 relay", Relays(f"-y -c -x {UDP}")),
        Row("uclient udp, IPv6 relay, to a peer", Relays(f"-c {UDP} {PEER6}")),
        Row("uclient udp, IPv6 listener and relay", Relays(f"-y -c -x {UDP}", SERVER6)),
        Row("uclient udp, IPv6 listener, IPv4 relay", Relays(f"-y -c -X {UDP}", SERVER6)),
        Row("uclient udp, IPv4 and IPv6 relay in one", Relays(f"-y -c -Z {UDP}")),
        Row("uclient udp, IPv4 and IPv6 relay in one, Send", Relays(f"-y -c -s -Z {UDP}")),
        Row("uclient udp, each client moves once", Relays(f"-y -c -M {UDP}", clients=2)),
        Row("uclient tcp, each client moves once", Relays(f"-y -c -M {TCP}", clients=2)),
        Row("uclient tcp, TCP relaying", Relays(f"-T {UDP}", clients=2)),
        Row("uclient tcp, TCP relaying, passive", Passive(f"-P {UDP} -L {CLIENT4} -e {CLIENT4}", clients=2)),
        Row("uclient tls, TCP relaying", Relays(f"-T -S -p {TLS_PORT}", clients=2)),
        Row("uclient tcp, channels, client to client", Relays(f"-y -c {TCP}")),
        Row("uclient tcp, Send, client to client", Relays(f"-y -c -s {TCP}")),
        Row("uclient tcp, channels, to a peer", Relays(f"-c {TCP} {PEER4}")),
        Row("uclient tcp, Send, to a peer", Relays(f"-c -s {TCP} {PEER4}")),
        Row("uclient tcp, IPv6 listener and relay", Relays(f"-y -c -x {TCP}", SERVER6)),
        Row("uclient tls, channels, client to client", Relays(f"-y -c {TLS}")),
        Row("uclient tls, Send, client to client", Relays(f"-y -c -s {TLS}")),
        Row("uclient tls, channels, to a peer", Relays(f"-c {TLS} {PEER4}")),
        Row("uclient tls, Send, to a peer", Relays(f"-c -s {TLS} {PEER4}")),
        Row("uclient tls, IPv6 listener and relay", Relays(f"-y -c -x {TLS}", SERVER6)),
        Row("uclient dtls, channels, client to client", Relays(f"-y -c {DTLS}")),
        Row("uclient dtls, Send, client to client", Relays(f"-y -c -s {DTLS}")),
        Row("uclient dtls, channels, to a peer", Relays(f"-c {DTLS} {PEER4}")),
        Row("uclient dtls, IPv6 listener and relay", Relays(f"-y -c -x {DTLS}", SERVER6)),
        Row(
            "uclient udp, user with a fixed password",
            Relays(f"-y -c {UDP}", credentials=STATIC),
            for_coturn=False,
        ),
        Row(
            "uclient refused: wrong secret",
            Refused(UNAUTHORIZED, f"-y -c {UDP}", ("-u", "uclient", "-W", "another secret")),
        ),
        Row(
            "uclient refused: wrong password",
            Refused(UNAUTHORIZED, f"-y -c {UDP}", ("-u", STATIC_USER, "-w", "another password")),
        ),
        Row(
            "uclient refused: expired credential", Refused(UNAUTHORIZED, f"-y -c {UDP}", expired())
        ),
        Row("uclient refused: peer on loopback", Refused(FORBIDDEN, f"-c {UDP} -e 127.0.0.1")),
        Row(
            "uclient refused: peer on a private network",
            Refused(FORBIDDEN, f"-c {UDP} -e 10.0.0.1"),
            for_coturn=False,
        ),
        Row(
            "uclient refused: cloud metadata as peer",
            Refused(FORBIDDEN, f"-c {UDP} -e 169.254.169.254"),
            for_coturn=False,
        ),
        Row(
            "uclient refused: mapped loopback as IPv6 peer",
            Refused(FORBIDDEN, f"-c -x {UDP} -e ::ffff:127.0.0.1"),
            for_coturn=False,
        ),
        Row(
            "uclient refused: the server itself as peer",
            Refused(FORBIDDEN, f"-c {UDP} -e {SERVER4} -r 22"),
            for_coturn=False,
        ),
        Row("uclient load udp, 50 clients", Relays(f"-y -c {UDP}", **LOAD), alone=True),
        Row("uclient load tcp, 50 clients", Relays(f"-y -c {TCP}", **LOAD), alone=True),
        Row("uclient load tls, 50 clients", Relays(f"-y -c {TLS}", **LOAD), alone=True),
        Row("uclient load udp, 50 clients, Send", Relays(f"-y -c -s {UDP}", **LOAD), alone=True),
    ],
)
