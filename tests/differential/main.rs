//! This relay beside the server of webrtc-rs: the same exchanges with both, compared.
//!
//! `rows/` says what each exchange leads to by the RFCs, and where webrtc-rs is known to do something else. This relay must do
//! what the RFCs say; webrtc-rs must do the same or exactly what is listed, so that the list stays true.

#[path = "../sim/net/codec.rs"]
#[allow(dead_code, reason = "the scenarios of tests/sim use all of it")]
mod codec;
mod rows;
mod servers;
mod side;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod support;

use rows::Row;
use servers::Servers;
use side::Side;

/// Plays a session with both servers and compares each exchange.
fn compare(rows: &[Row]) {
    let servers = Servers::start();
    let mut ours = Side::new(servers.ours);
    let mut theirs = Side::new(servers.theirs);
    let mut differences = Vec::new();
    for row in rows {
        let (our_outcome, their_outcome) = ((row.exchange)(&mut ours), (row.exchange)(&mut theirs));
        let Row { what, section, .. } = row;
        if our_outcome != row.outcome {
            differences.push(format!(
                "{what} ({section}): {:?} is due, this relay: {our_outcome:?}",
                row.outcome
            ));
        }
        let listed = row.deviation.as_ref().map(|deviation| deviation.outcome);
        assert_ne!(listed, Some(row.outcome), "{what}: no deviation is listed");
        if their_outcome != listed.unwrap_or(row.outcome) {
            differences.push(format!(
                "{what} ({section}): {:?} is due, listed for webrtc-rs: {listed:?}, it does: {their_outcome:?}",
                row.outcome
            ));
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn bindings_and_what_is_not_answered() {
    compare(rows::BINDING);
}

#[test]
fn credentials() {
    compare(rows::CREDENTIALS);
}

#[test]
fn allocations() {
    compare(rows::ALLOCATIONS);
}

#[test]
fn without_an_allocation() {
    compare(rows::WITHOUT_AN_ALLOCATION);
}

#[test]
fn permissions_and_indications() {
    compare(rows::PERMISSIONS);
}

#[test]
fn channels() {
    compare(rows::CHANNELS);
}

#[test]
fn every_deviation_says_why() {
    let all = rows::SESSIONS.iter().copied().flatten();
    let deviations: Vec<_> = all.filter_map(|row| row.deviation.as_ref()).collect();
    assert!(deviations.len() > 20);
    assert!(deviations.iter().all(|deviation| deviation.why.len() > 10));
}
