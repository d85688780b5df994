//! Random sequences of operations against a reference model, and arbitrary bytes against everything.
//!
//! What differs is printed with its seed; `UTURN_SEED=7 cargo test --test property` plays that one again and shows each
//! operation, and `UTURN_SEEDS=100000` plays more of them than usual.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

mod arbitrary;
mod model;
#[allow(dead_code, reason = "the scenarios of tests/sim use all of it")]
#[path = "../sim/net/mod.rs"]
mod net;
mod play;

/// Runs unless `UTURN_SEEDS` says otherwise.
const SEEDS: u64 = 4000;

fn number_in(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a seed is a number"))
}

#[test]
fn the_relay_does_what_the_model_says() {
    if let Some(seed) = number_in("UTURN_SEED") {
        return play::play(seed, true);
    }
    let seeds = number_in("UTURN_SEEDS").unwrap_or(SEEDS);
    println!("seeds 0 to {}", seeds.saturating_sub(1));
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    if catch_unwind(|| play::play(seed, false)).is_err() {
                        next.store(seeds, Ordering::Relaxed);
                        panic!("play it again with UTURN_SEED={seed}");
                    }
                }
            });
        }
    });
}
