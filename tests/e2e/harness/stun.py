"""As much STUN as it takes to see that a server answers (RFC 8489 §5, §6), and that it takes a token (RFC 7635)."""

import hashlib
import hmac
import os
import socket
import struct
from dataclasses import dataclass

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


ALLOCATE_REQUEST = 0x0003
ALLOCATE_SUCCESS = 0x0103
USERNAME, MESSAGE_INTEGRITY, LIFETIME, REALM, NONCE = 0x0006, 0x0008, 0x000D, 0x0014, 0x0015
REQUESTED_TRANSPORT, ACCESS_TOKEN = 0x0019, 0x001B
UDP_TRANSPORT = bytes([17, 0, 0, 0])


@dataclass
class Allocated:
    """The answer to an Allocate."""

    succeeded: bool
    lifetime: int | None
    is_signed: bool


def allocate_with_token(address, port, key_id, mac_key, token, timeout=2):
    """Asks for an hour with an access token, signed with the whole of its mac_key."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        client.connect((address, port))
        attributes = [(REQUESTED_TRANSPORT, UDP_TRANSPORT), (LIFETIME, struct.pack("!I", 3600))]
        client.send(message(ALLOCATE_REQUEST, attributes))
        challenge = attributes_of(client.recv(2048))
        attributes += [(USERNAME, key_id.encode()), (REALM, challenge[REALM])]
        attributes += [(NONCE, challenge[NONCE]), (ACCESS_TOKEN, token)]
        client.send(message(ALLOCATE_REQUEST, attributes, mac_key))
        answer = client.recv(2048)
    found = attributes_of(answer)
    lifetime = struct.unpack("!I", found[LIFETIME])[0] if LIFETIME in found else None
    # MESSAGE-INTEGRITY is the last attribute, and its HMAC covers what is before it.
    is_signed = found.get(MESSAGE_INTEGRITY) == digest(mac_key, answer[:-24])
    return Allocated(struct.unpack("!H", answer[:2])[0] == ALLOCATE_SUCCESS, lifetime, is_signed)


def message(kind, attributes, key=None):
    """A message, signed where there is a key."""
    body = b"".join(
        struct.pack("!HH", number, len(value)) + value + bytes(-len(value) % 4)
        for number, value in attributes
    )
    length = len(body) + (24 if key else 0)
    written = struct.pack("!HHI12s", kind, length, MAGIC_COOKIE, os.urandom(12)) + body
    if key:
        written += struct.pack("!HH", MESSAGE_INTEGRITY, 20) + digest(key, written)
    return written


def digest(key, covered):
    return hmac.new(key, covered, hashlib.sha1).digest()


def attributes_of(received):
    """The attributes of a message by their numbers."""
    found, rest = {}, received[20:]
    while len(rest) >= 4:
        number, length = struct.unpack("!HH", rest[:4])
        found[number] = rest[4 : 4 + length]
        rest = rest[4 + length + -length % 4 :]
    return found
