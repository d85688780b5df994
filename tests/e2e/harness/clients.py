"""Where the independent clients are found."""

import os
from pathlib import Path

from harness.process import find_program

ROOT = Path(__file__).resolve().parents[3]
E2E = ROOT / "tests/e2e"
# The interpreter that has aiortc: `./test` makes this virtual environment.
PYTHON = ROOT / "target/e2e-venv/bin/python"
# Where Debian puts the sources of Go packages.
GO_PACKAGES = Path("/usr/share/gocode")
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")

PROGRAMS = [
    "turnserver",
    "turnutils_uclient",
    "turnutils_peer",
    "turnutils_oauth",
    "turnutils_natdiscovery",
    "stun",
    "nft",
    "openssl",
    "haproxy",
    "prometheus",
    "promtool",
    "go",
    "node",
    "ip",
    "unshare",
    "nsenter",
    "setpriv",
    "tmux",
]


def missing_clients():
    """What the rows need and this machine lacks."""
    missing = [name for name in PROGRAMS if not find_program(name)]
    if not Path(CHROMIUM).is_file():
        missing.append(CHROMIUM)
    packages = ["playwright-core", "werift", "node-datachannel"]
    missing += [name for name in packages if not (E2E / "node_modules" / name).is_dir()]
    if not (GO_PACKAGES / "src/github.com/pion/turn/v2").is_dir():
        missing.append("golang-github-pion-turn.v2-dev")
    if not PYTHON.is_file():
        missing.append("aiortc")
    return missing
