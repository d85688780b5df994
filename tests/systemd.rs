//! The unit stays hardened.

use std::process::Command;

/// `systemd-analyze` scores 0.0 (safe) to 10.0 (unsafe); its threshold is ten times that.
const THRESHOLD: &str = "20";

#[test]
fn the_unit_is_exposed_to_2_0_at_most() {
    let output = Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=yes"])
        .args(["--threshold", THRESHOLD, "systemd/uturn.service"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("systemd-analyze is missing; install it with: apt-get install systemd");
    let report = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}{wrong}");
    let verdict = "Overall exposure level for uturn.service";
    assert!(report.contains(verdict), "{report}{wrong}");
}
