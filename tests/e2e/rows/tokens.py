"""Third-party authorization (RFC 7635): coturn's `turnutils_oauth`, and `turnutils_uclient -J`.

`turnutils_oauth` seals and opens access tokens as an authorization server does. `turnutils_uclient -J` seals its own,
with one of three keys that are written in it, another one for each Allocate and each Refresh: so a Refresh brings a new
token, with a new mac_key and often under another key id. It signs with the first 16 bytes of a mac_key of 20, which
takes `token_integrity = "coturn"`.
"""

import base64
import json
import re
import secrets
import time
from dataclasses import dataclass

from harness import stun
from harness.network import SERVER4
from harness.process import run
from harness.report import Group, Outcome, Row
from harness.servers import PORT, REALM, start_server
from rows.uclient import PEER4, TCP, TLS, UDP, UTURN_CONFIG, Relays, last_number, start_peer

# As turnutils_uclient has them; it takes no more of a key than the cipher needs.
KEYS = {
    "north": b"01234567890123456789012345678901",
    "union": b"1234567890123456",
    "oldempire": b"12345678901234567890123456789012",
}
KEY_ID = "north"
CONFIG = UTURN_CONFIG + "".join(
    f'\n[[auth.token_keys]]\nid = "{key_id}"\nsecret = "{base64.b64encode(key).decode()}"\n'
    for key_id, key in KEYS.items()
)
LIFETIME = 900


@dataclass(frozen=True)
class Setting:
    """How `uturn token` is called with the configuration of the server that runs."""

    mint: list


def setup(context):
    start_server(context, "tokens", CONFIG, uturn_auth='token_integrity = "coturn"\n')
    start_peer(context)
    command = [context.binary, "token", "--config", context.folder / "tokens.toml"]
    # There the addresses are that the configuration names.
    return Setting(context.net.on_server(command))


def sealed_by_coturn(_setting):
    """The server has to take a token that `turnutils_oauth` has sealed, and to sign with its whole mac_key."""
    mac_key = secrets.token_bytes(20)
    printed = oauth(
        *["-e", "-o", base64.b64encode(secrets.token_bytes(12)).decode()],
        *["-p", base64.b64encode(mac_key).decode(), "-q", str(int(time.time()) << 16)],
        *["-r", str(LIFETIME)],
    )
    found = re.search(r'"access_token":"([^"]+)"', printed)
    if not found:
        return Outcome(False, "turnutils_oauth has printed no token", printed)
    return allocated(mac_key, found[1])


def sealed_by_uturn(setting):
    """`turnutils_oauth` has to open what `uturn token` prints, and the server to take it."""
    minted = mint(setting)
    opened = oauth("-d", "-t", minted["access_token"])
    lasts = last_number(r"lifetime: (\d+)", opened)
    if "Valid token!" not in opened or lasts != LIFETIME:
        return Outcome(False, f"turnutils_oauth reads a lifetime of {lasts}", opened)
    outcome = allocated(base64.b64decode(minted["mac_key"]), minted["access_token"])
    outcome.figures = f"turnutils_oauth reads it; {outcome.figures}"
    return outcome


def mint(setting):
    done = run([*setting.mint, "--id", KEY_ID, "--ttl", f"{LIFETIME}s", "--json"], 10)
    return json.loads(done.output)


def oauth(*arguments):
    """What `turnutils_oauth` prints about a token of this server's."""
    key = base64.b64encode(KEYS[KEY_ID]).decode()
    command = ["turnutils_oauth", "-v", "-i", REALM, "-j", KEY_ID, "-k", key, "-n", "A256GCM"]
    command += ["-l", str(int(time.time())), "-m", "3600"]
    return run([*command, *arguments], 10).output


def allocated(mac_key, token):
    """Whether an Allocate with this token succeeds, and how."""
    answer = stun.allocate_with_token(SERVER4, PORT, KEY_ID, mac_key, base64.b64decode(token))
    lifetime = f"LIFETIME {answer.lifetime}" if answer.succeeded else "Allocate refused"
    signed = "signed with the mac_key" if answer.is_signed else "not signed"
    passed = answer.succeeded and answer.is_signed and answer.lifetime <= LIFETIME + 5
    return Outcome(passed, f"{lifetime}, {signed}")


J = {"credentials": ("-J", "-u", "uclient", "-w", "-")}

GROUP = Group(
    setup,
    [
        Row("oauth: a token of turnutils_oauth", sealed_by_coturn, for_coturn=False),
        Row("oauth: a token of uturn token", sealed_by_uturn, for_coturn=False),
        Row("uclient -J udp, client to client", Relays(f"-y -c {UDP}", **J), for_coturn=False),
        Row("uclient -J udp, to a peer", Relays(f"-c {UDP} {PEER4}", **J), for_coturn=False),
        Row("uclient -J tcp, client to client", Relays(f"-y -c {TCP}", **J), for_coturn=False),
        Row("uclient -J tls, client to client", Relays(f"-y -c {TLS}", **J), for_coturn=False),
    ],
)
