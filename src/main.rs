//! The `uturn` program: see [`uturn::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    uturn::cli::main()
}
