"""Two network namespaces: this process and the clients in one, the server in the other.

The addresses look like those of public hosts, so that a server's peer rules apply as shipped: what
a server denies by default (loopback, private and documentation ranges) stays denied. They are
never routed, the namespaces have no way out.
"""

import os
import shutil
import subprocess
import sys

from harness.report import CannotRun

SERVER4 = "1.2.3.1"
SERVER4_SECOND = "1.2.3.11"
SERVER6 = "2d00::1"
CLIENT4 = "1.2.3.2"
CLIENT6 = "2d00::2"

INSIDE = "UTURN_E2E_NAMESPACE"


def enter_namespace():
    """Starts this program again in a network namespace of its own, unless it runs in one."""
    if os.environ.get(INSIDE):
        return
    unshare = ["unshare", "--net"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise CannotRun(
            "a network namespace cannot be made here: run as root (in a container: with the "
            "capabilities NET_ADMIN and SYS_ADMIN)"
        )
    os.environ[INSIDE] = "1"
    os.execvp(unshare[0], [*unshare, "--", sys.executable, *sys.argv])


class Network:
    """The clients' namespace (this process's own) and the server's, joined by a veth pair."""

    def __enter__(self):
        # A namespace lives as long as a process in it: `cat` ends with this end of its pipe.
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--", shutil.which("cat")], stdin=subprocess.PIPE
        )
        try:
            self.lay_cables()
        except subprocess.CalledProcessError as error:
            raise CannotRun(f"`{' '.join(error.cmd)}` failed: {error.stderr.strip()}") from None
        return self

    def __exit__(self, *_):
        self.holder.stdin.close()
        self.holder.wait()

    def on_server(self, command):
        """The same command, in the server's namespace; it keeps its process id."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--", *command]

    def lay_cables(self):
        client = [
            "link add client type veth peer name server",
            f"addr add {CLIENT4}/24 dev client",
            f"addr add {CLIENT6}/64 dev client nodad",
            f"link set server netns {self.holder.pid}",
            "link set lo up",
            "link set client up",
            f"route add default via {SERVER4}",
            f"-6 route add default via {SERVER6}",
        ]
        server = [
            f"addr add {SERVER4}/24 dev server",
            f"addr add {SERVER4_SECOND}/24 dev server",
            f"addr add {SERVER6}/64 dev server nodad",
            "link set lo up",
            "link set server up",
            f"route add default via {CLIENT4}",
            f"-6 route add default via {CLIENT6}",
        ]
        self.wait_for_holder()
        for line in client[:5]:
            ip([], line)
        for line in server:
            ip(self.on_server([]), line)
        for line in client[5:]:
            ip([], line)

    def wait_for_holder(self):
        """`unshare` has made the namespace once it has become `cat`."""
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == own:
            if self.holder.poll() is not None:
                raise CannotRun("a second network namespace cannot be made here")


def ip(prefix, arguments):
    subprocess.run(
        [*prefix, "ip", *arguments.split()], check=True, stderr=subprocess.PIPE, text=True
    )
