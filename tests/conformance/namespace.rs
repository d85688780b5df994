//! A network of a test's own: a network namespace, and a router in another one behind which the links get narrower.
//!
//! ```text
//! test and server ── 10.77.0.0/24, fd77::/64, MTU 1500 ── router ── 10.78.0.0/24, fd78::/64, MTU 1300 ── nobody
//!    .1, ::1                                             .2, ::2
//! ```

use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::target::{is_foreign, not_run};

/// The router: nobody listens there.
pub const ROUTER: [&str; 2] = ["10.77.0.2", "fd77::2"];
/// Hosts behind it, which are not there.
pub const BEYOND: [&str; 2] = ["10.78.0.9", "fd78::9"];
pub const NEAR_MTU: u32 = 1500;
pub const BEYOND_MTU: u32 = 1300;

/// Set in the environment of a test that runs inside.
const INSIDE: &str = "UTURN_TEST_NAMESPACE";

/// Runs a test, by its full name, within such a network; whoever cannot make one is told that it was not run.
#[track_caller]
pub fn within(name: &str, test: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        let _router = Router::connect();
        return test();
    }
    if is_foreign() {
        return not_run("a server started by the tests").unwrap_or_default();
    }
    if !run(unshare().arg("true")) || !run(Command::new("ip").arg("-V")) {
        let lacking =
            "the program `ip`, and root or a kernel that lets users make network namespaces";
        return not_run(lacking).unwrap_or_default();
    }
    let output = unshare()
        .arg(env::current_exe().expect("this program"))
        .args([name, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "in a network namespace:\n{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Starts a program in a network namespace.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--net");
    // SAFETY: it only reads the process's own user id, and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--");
    command
}

/// The other namespace, which lives as long as a process in it.
struct Router(Child);

impl Router {
    fn connect() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "echo there; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = String::new();
        let stdout = holder.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("a line of the shell");
        assert_eq!(line, "there\n");
        let router = Self(holder);
        router.lay_cables();
        router
    }

    fn lay_cables(&self) {
        let (id, near_mtu, beyond_mtu) = (self.0.id(), NEAR_MTU, BEYOND_MTU);
        for arguments in [
            "link set lo up".to_owned(),
            format!(
                "link add near mtu {near_mtu} type veth peer name far mtu {near_mtu} netns {id}"
            ),
            "addr add 10.77.0.1/24 dev near".to_owned(),
            "addr add fd77::1/64 dev near nodad".to_owned(),
            "link set near up".to_owned(),
        ] {
            assert!(
                run(Command::new("ip").args(arguments.split(' '))),
                "ip {arguments}"
            );
        }
        self.inside(&format!(
            "ip link set lo up &&
             ip addr add 10.77.0.2/24 dev far && ip addr add fd77::2/64 dev far nodad && ip link set far up &&
             ip link add beyond mtu {beyond_mtu} type veth peer name nobody mtu {beyond_mtu} &&
             ip addr add 10.78.0.1/24 dev beyond && ip addr add fd78::1/64 dev beyond nodad &&
             ip link set nobody up && ip link set beyond up &&
             echo 1 > /proc/sys/net/ipv4/ip_forward && echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"
        ));
        for arguments in [
            "route add 10.78.0.0/24 via 10.77.0.2",
            "-6 route add fd78::/64 via fd77::2",
        ] {
            assert!(
                run(Command::new("ip").args(arguments.split(' '))),
                "ip {arguments}"
            );
        }
    }

    fn inside(&self, script: &str) {
        let namespace = format!("--net=/proc/{}/ns/net", self.0.id());
        let mut command = Command::new("nsenter");
        command.args([&namespace, "--", "sh", "-c", script]);
        assert!(run(&mut command), "{script}");
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // Neither can fail for a child that has not been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> bool {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status();
    status.is_ok_and(|status| status.success())
}
