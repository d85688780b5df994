"""aiortc (Python, PyPI): two peers that know nothing but relayed candidates."""

import json
from dataclasses import dataclass

from harness.clients import E2E, PYTHON
from harness.credentials import time_limited
from harness.network import SERVER4
from harness.process import run
from harness.report import Group, Outcome, Row
from harness.servers import PORT, SECRET, TLS_PORT, start_server

PATIENCE_SECONDS = 60


def setup(context):
    return start_server(context, "aiortc")


@dataclass(frozen=True)
class Call:
    """A data channel and a video over one URL of the server."""

    url: str

    def __call__(self, server):
        username, credential = time_limited(SECRET, "aiortc")
        done = run(
            [PYTHON, E2E / "aiortc_call.py", self.url, username, credential],
            PATIENCE_SECONDS,
            {"SSL_CERT_FILE": str(server.certificates.authority)},
        )
        return outcome_of_call(done)


def outcome_of_call(done):
    """Reads the JSON object that a call prints last."""
    try:
        call = json.loads(done.output.splitlines()[-1])
        figures = ", ".join(f"{name} {value}" for name, value in call["figures"].items())
        passed = done.code == 0 and not call["failures"]
    except (ValueError, LookupError, TypeError):
        why = f"no result after {done.seconds:.0f} s" if done.timed_out else "no result"
        return Outcome(False, why, done.output[-3000:])
    return Outcome(passed, figures or call["failures"][0], "\n".join(call["failures"]))


GROUP = Group(
    setup,
    [
        Row("aiortc turn udp", Call(f"turn:{SERVER4}:{PORT}?transport=udp"), alone=True),
        Row("aiortc turn tcp", Call(f"turn:{SERVER4}:{PORT}?transport=tcp"), alone=True),
        Row("aiortc turns", Call(f"turns:{SERVER4}:{TLS_PORT}?transport=tcp"), alone=True),
    ],
)
