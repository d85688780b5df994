//! What CONFORMANCE.md is made by: `cargo run --example conformance -- --help`.
//!
//! It starts itself again in a network namespace of its own, runs each test of a row by itself (`suite.rs`), against this
//! server and against Debian's coturn (`coturn.rs`), and makes the table of what came of it (`verdict.rs`,
//! `document.rs`). The rows are in `../rows.toml`.

#[cfg(target_os = "linux")]
mod command;
#[cfg(target_os = "linux")]
mod coturn;
#[cfg(target_os = "linux")]
mod document;
#[cfg(target_os = "linux")]
#[path = "../target/flavour.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod flavour;
#[cfg(target_os = "linux")]
#[path = "../../../benches/vs_coturn/namespace.rs"]
mod namespace;
#[cfg(target_os = "linux")]
#[path = "../../../benches/vs_coturn/process.rs"]
#[allow(dead_code, reason = "shared with the benchmark")]
mod process;
#[cfg(target_os = "linux")]
mod rows;
#[cfg(target_os = "linux")]
mod suite;
#[cfg(target_os = "linux")]
mod verdict;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    command::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("conformance: it needs a network namespace, which Linux alone has");
    std::process::ExitCode::from(2)
}
