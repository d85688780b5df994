"""As much STUN as it takes to see that a server answers (RFC 8489 §5, §6)."""

import os
import socket
import struct

BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
MAGIC_COOKIE = 0x2112A442


def answers_udp(address, port, timeout=0.2):
    """Whether a Binding request to a UDP port gets a success response."""
    transaction = os.urandom(12)
    request = struct.pack("!HHI12s", BINDING_REQUEST, 0, MAGIC_COOKIE, transaction)
    reply = ask_udp(address, port, request, timeout)
    kind = struct.unpack("!H", reply[:2])[0] if len(reply) >= 20 else None
    return kind == BINDING_SUCCESS and reply[8:20] == transaction


def echoes_udp(address, port, timeout=0.2):
    """Whether a UDP port sends back what it gets."""
    return ask_udp(address, port, b"echo", timeout) == b"echo"


def accepts_tcp(address, port, timeout=0.2):
    """Whether a connection to a TCP port is taken."""
    try:
        socket.create_connection((address, port), timeout).close()
    except OSError:
        return False
    return True


def ask_udp(address, port, question, timeout):
    """The first datagram that comes back; empty when none does."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        try:
            client.connect((address, port))
            client.send(question)
            return client.recv(2048)
        except OSError:
            return b""
