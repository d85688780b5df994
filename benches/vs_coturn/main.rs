//! What this server costs beside Debian's coturn: `cargo bench --bench vs_coturn -- --help`.
//!
//! One program plays all parts. It starts itself again in a network namespace of its own (`namespace.rs`), starts the
//! servers (`server.rs`), has `uturn load` load one after the other (`generator.rs`, `rounds.rs`), and shows what came of
//! it (`table.rs`, `document.rs`). What is measured, and what is hoped for, stands in `rows.rs`. PERFORMANCE.md explains
//! the method.

#[cfg(target_os = "linux")]
mod cell;
#[cfg(target_os = "linux")]
mod command;
#[cfg(target_os = "linux")]
mod document;
#[cfg(target_os = "linux")]
mod figures;
#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod generator;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod others;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod rounds;
#[cfg(target_os = "linux")]
mod rows;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod watcher;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    command::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("vs_coturn: it reads what Linux alone tells of a process");
    std::process::ExitCode::from(2)
}
