"""`uturn top` in a terminal of tmux, while `uturn load` sends what is known: what the screen says has to be that.

The rates are those that the load is told to send; `uturn sessions` is the second opinion on which sessions there are.
"""

import itertools
import json
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.network import SERVER4
from harness.process import Service, run, wait_until
from harness.report import Group, Outcome, Row
from harness.servers import PORT, SECRET, start_server, write_secret

PATIENCE_SECONDS = 20
CLIENTS = 20
# Of each client, each way.
PACKETS = 50
SIZE = 500
TOLERANCE = 0.2
# Wide enough for all columns.
WIDTH, HEIGHT = 180, 40
HEADS = (
    "ID USER CLIENT VIA RELAYED PEERS UP p/s UP bit/s DOWN p/s DOWN bit/s AGE PATH DROP/s DROPS"
)
TERMINALS = itertools.count()
UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}


@dataclass
class Setting:
    """A server under load, and how it is asked."""

    context: object
    socket: object

    def uturn(self, *arguments):
        return self.context.net.on_server([self.context.binary, *arguments])

    def sessions(self):
        done = run(self.uturn("sessions", "--socket", self.socket, "--json"), PATIENCE_SECONDS)
        return json.loads(done.output)


def setup(context):
    socket = context.folder / "top.sock"
    start_server(context, "top", f'\n[admin]\nsocket = "{socket}"\n')
    setting = Setting(context, socket)
    secret = context.folder / "top.secret"
    write_secret(secret, SECRET)
    load = Service(
        [
            *[context.binary, "load", f"turn:{SERVER4}:{PORT}", "--secret-file", secret],
            *["--traffic", "echo", "--clients", CLIENTS, "--size", SIZE],
            *["--rate", CLIENTS * PACKETS, "--duration", "10m", "--sleep"],
        ],
        context.folder / "top.load.log",
    )
    context.stack.callback(load.stop)
    if not wait_until(lambda: len(setting.sessions()) == CLIENTS, PATIENCE_SECONDS, 0.2):
        raise RuntimeError(f"the load has not begun:\n{load.last_words()}")
    return setting


class Top:
    """`uturn top`, started by a shell in a terminal of its own."""

    def __init__(self, setting):
        folder = setting.context.folder
        self.tmux = setting.context.net.on_server(["tmux", "-f", "/dev/null", "-S"])
        # A server of tmux that ends may still hold the socket of the one before.
        self.tmux.append(str(folder / f"top{next(TERMINALS)}.tmux"))
        self.states = [folder / "top.stty-before", folder / "top.stty-after"]
        for state in self.states:
            state.unlink(missing_ok=True)
        before, after = self.states
        top = " ".join(map(str, setting.uturn("top", "--socket", setting.socket)))
        self.command = f"stty -g >{before}; {top}; echo exit code $?; stty -g >{after}"

    def __enter__(self):
        size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
        self.ask("new-session", "-d", *size, "env PS1='# ' TERM=tmux-256color sh")
        self.wait_for(lambda: "#" in self.screen())
        self.press("echo what was here before", "Enter", self.command, "Enter")
        # The first rates.
        self.wait_for(lambda: self.rows() and self.rows()[0][7] != "-")
        return self

    def __exit__(self, *_):
        subprocess.run([*self.tmux, "kill-server"], check=False, capture_output=True)

    def ask(self, *command):
        done = subprocess.run([*self.tmux, *command], check=True, capture_output=True, text=True)
        return done.stdout

    def press(self, *keys):
        for key in keys:
            self.ask("send-keys", key)

    def type(self, text):
        self.ask("send-keys", "-l", text)

    def screen(self):
        return self.ask("capture-pane", "-p")

    def lines(self):
        return self.screen().splitlines()

    def rows(self):
        """The cells of each session, once the table is there."""
        lines = self.lines()
        heads = [at for at, line in enumerate(lines) if " ".join(line.split()) == HEADS]
        if not heads:
            return []
        rows = [line.lstrip(">").split() for line in lines[heads[0] + 1 : -1]]
        return [row for row in rows if len(row) >= 13]

    def users(self):
        return [row[1] for row in self.rows()]

    def wait_for(self, condition):
        if not wait_until(condition, PATIENCE_SECONDS, 0.1):
            raise RuntimeError(f"the screen does not become what it should:\n{self.screen()}")

    def is_gone(self):
        """Whether the terminal is as it was."""
        before, after = self.states
        shown = self.screen()
        has_ended = "exit code 0" in shown and after.exists() and after.read_text()
        flags = self.ask("display-message", "-p", "#{alternate_on} #{cursor_flag}").split()
        return (
            bool(has_ended)
            and "what was here before" in shown
            and before.read_text() == after.read_text()
            and flags == ["0", "1"]
        )


def number(text):
    found = re.fullmatch(r"([0-9.]+)([kMG]?)", text)
    return float(found[1]) * UNITS[found[2]] if found else -1.0


def is_about(text, wanted):
    return abs(number(text) - wanted) <= TOLERANCE * wanted


def shows_rates(setting):
    """All sessions have to be there, with what is sent."""
    bits = PACKETS * SIZE * 8

    def right(row):
        up_packets, up_bits, down_packets, down_bits = row[6:10]
        return (
            row[3] == "udp"
            and row[5] == "1"
            and row[11] == "outside"
            and all(is_about(packets, PACKETS) for packets in (up_packets, down_packets))
            and all(is_about(rate, bits) for rate in (up_bits, down_bits))
        )

    with Top(setting) as top:
        everybody = {f"load-{client}" for client in range(CLIENTS)}
        top.wait_for(lambda: set(top.users()) == everybody and all(map(right, top.rows())))
        shown = top.lines()
        ids = {int(row[0]) for row in top.rows()}
        clients = {(row[2], row[4]) for row in top.rows()}
        known = setting.sessions()
        total = re.search(r"up ([0-9.]+) (k|M)bit/s", shown[1])
    same = {s["id"] for s in known} == ids
    same = same and {(s["client"], s["relayed"][0]) for s in known} == clients
    all_together = total and is_about(total[1] + total[2], CLIENTS * bits)
    headed = f"{CLIENTS} of 16384 sessions" in shown[0] and "drops 0/s" in shown[2]
    return Outcome(bool(same and all_together and headed), shown[1], "\n".join(shown))


def sorts_and_filters(setting):
    with Top(setting) as top:
        presses = 0
        while "by USER, from a to z" not in top.screen() and presses < 20:
            top.press(">")
            presses += 1
            top.wait_for(lambda: "by" in top.lines()[3])
        top.wait_for(lambda: len(top.users()) == CLIENTS and top.users() == sorted(top.users()))
        top.press("r")
        top.wait_for(lambda: top.users() == sorted(top.users(), reverse=True))
        top.press("/")
        top.type("via:udp load-1")
        top.press("Enter")
        top.wait_for(lambda: f'11 of {CLIENTS} match "via:udp load-1", by USER' in top.screen())
        found = top.users()
        top.press("Escape")
        top.wait_for(lambda: len(top.users()) == CLIENTS)
    right = len(found) == 11 and all(user.startswith("load-1") for user in found)
    return Outcome(right, f"{len(found)} of {CLIENTS} match", " ".join(found))


def ends_a_session(setting):
    """One is looked at and ended: then it is nowhere any more."""
    with Top(setting) as top:
        top.press("/")
        top.type("user:load-7")
        top.press("Enter")
        top.wait_for(lambda: top.users() == ["load-7"])
        number_ = int(top.rows()[0][0])
        top.press("Enter")
        rate = re.compile(r"^up +([0-9.]+k?) ?k?bit/s", re.MULTILINE)
        told = [
            rf"session +{number_}$",
            r"user +load-7$",
            r"ends in +\d+m",
            r"1 permission\n  [0-9.]+ +ends in \dm",
            r"1 channel\n  0x4\d{3} +[0-9.:]+ +ends in \dm",
        ]
        top.wait_for(
            lambda: (
                all(re.search(line, top.screen(), re.MULTILINE) for line in told)
                and rate.search(top.screen())
            )
        )
        detail = top.screen()
        top.press("x")
        question = f"end session {number_} of load-7? y/n"
        top.wait_for(lambda: question in top.lines()[-1])
        before = len(setting.sessions())
        top.press("y")
        top.wait_for(lambda: "it has ended: this is what was known" in top.screen())
        top.press("Escape")
        top.wait_for(lambda: "0 of 19 match" in top.screen())
        top.press("Escape")
        top.wait_for(lambda: len(top.users()) == CLIENTS - 1)
        gone = number_ not in [int(row[0]) for row in top.rows()]
        gone = gone and number_ not in [session["id"] for session in setting.sessions()]
    figures = f"session {number_}, {before} before, {len(setting.sessions())} after"
    return Outcome(gone and before == CLIENTS, figures, detail)


def quits(setting):
    """By its key, and by a signal."""
    with Top(setting) as top:
        top.press("q")
        top.wait_for(top.is_gone)
    with Top(setting) as top:
        pane = top.ask("display-message", "-p", "#{pane_pid}").strip()
        children = Path(f"/proc/{pane}/task/{pane}/children").read_text()
        os.kill(int(children), signal.SIGTERM)
        top.wait_for(top.is_gone)
    return Outcome(True, "the terminal is as before, twice")


GROUP = Group(
    setup,
    [
        Row(name, check, alone=True, for_coturn=False)
        for name, check in [
            ("top, sessions and rates", shows_rates),
            ("top, sorts and filters", sorts_and_filters),
            ("top, quits and leaves the terminal", quits),
            ("top, ends a session", ends_a_session),
        ]
    ],
)
