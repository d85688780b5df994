//! The whole relay core: whatever arrives in whatever order, nothing is relayed that nobody permitted, and everything that
//! comes out of it is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod granted;
mod input;
#[allow(
    dead_code,
    unused_imports,
    reason = "the scenarios of tests/sim use all of it"
)]
#[path = "../../../tests/sim/net/mod.rs"]
mod net;
mod play;
mod raw;

fuzz_target!(|input: input::Input<'_>| play::play(&input));
