"""Child processes that never outlive the test, each ended by its own id."""

import contextlib
import os
import shutil
import signal
import subprocess
import time

STOP_SECONDS = 10

# The children of `run` that have not ended.
running = set()


class Service:
    """A process that runs beside the rows until `stop`.

    The kernel kills it when this process dies in a way that leaves no time to clean up.
    """

    def __init__(self, command, log, environment=None):
        self.command = [str(part) for part in command]
        self.log = log
        with open(log, "wb") as output:
            self.child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )

    def stop(self, number=signal.SIGTERM):
        """Asks the process to end and returns its exit code; `None` when it had to be killed."""
        self.child.send_signal(number)
        try:
            return self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            return None

    def has_ended(self):
        return self.child.poll() is not None

    def last_words(self, lines=12):
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(text[-lines:])


class Finished:
    """What a command that ran to its end has left."""

    def __init__(self, code, output, seconds):
        self.code = code
        self.output = output
        self.seconds = seconds

    @property
    def timed_out(self):
        return self.code is None


def run(command, timeout, environment=None):
    """Runs a command to its end; past `timeout` seconds it is killed with all that it started."""
    started = time.monotonic()
    child = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **(environment or {})},
    )
    running.add(child)
    try:
        output, _ = child.communicate(timeout=timeout)
        code = child.returncode
    except subprocess.TimeoutExpired:
        end_session(child)
        output, _ = child.communicate()
        code = None
    finally:
        running.discard(child)
    return Finished(code, output.decode(errors="replace"), time.monotonic() - started)


def must(command, text=""):
    """Runs a command that prepares something, with `text` as its input; that it fails is an error."""
    subprocess.run(command, input=text, text=True, check=True)


def end_running():
    """Kills what `run` waits for in other threads, when the whole test is to end."""
    for child in list(running):
        end_session(child)


def end_session(child):
    """Kills a child that leads a session of its own, and its descendants."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def wait_until(condition, seconds, interval=0.02):
    """Polls until `condition()` is true; false when `seconds` have passed first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def find_program(name):
    """The path of a program; administrators' folders are searched too."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
