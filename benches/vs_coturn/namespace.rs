//! A network namespace of its own: no port clashes with the machine's, and nothing leaves it.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::command::CannotRun;

/// Set in the environment of what runs inside.
const INSIDE: &str = "UTURN_BENCH_NAMESPACE";

/// Starts this program again in a network namespace, unless it runs in one. Without root, that takes a kernel that lets
/// users make namespaces.
pub fn enter() -> Result<(), CannotRun> {
    if env::var_os(INSIDE).is_some() {
        return raise_loopback();
    }
    let mut unshare = vec!["--net"];
    // SAFETY: it only reads the process's own user id, and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        unshare.extend(["--user", "--map-root-user"]);
    }
    let may = Command::new("unshare")
        .args(&unshare)
        .arg("true")
        .stderr(Stdio::null())
        .status();
    if !may.is_ok_and(|status| status.success()) {
        return Err(CannotRun(
            "a network namespace cannot be made here: run it as root (in a container: with the capabilities NET_ADMIN and SYS_ADMIN)".to_owned(),
        ));
    }
    let program = env::current_exe().map_err(|error| format!("cannot find itself: {error}"))?;
    let error = Command::new("unshare")
        .args(&unshare)
        .arg("--")
        .arg(program)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(CannotRun(format!("cannot start unshare: {error}")))
}

fn raise_loopback() -> Result<(), CannotRun> {
    let raised = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    match raised.is_ok_and(|status| status.success()) {
        true => Ok(()),
        false => Err(CannotRun(
            "`ip link set lo up` failed: is ip there (apt-get install iproute2)?".to_owned(),
        )),
    }
}
