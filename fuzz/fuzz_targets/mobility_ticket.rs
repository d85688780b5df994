//! MOBILITY-TICKET (RFC 8016 §4.1): a sealed ticket opens to what was sealed, and whatever opens is a ticket as it was sealed.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use uturn::turn::{Ticket, TicketKey, Tickets};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    serial: u64,
    generation: u32,
    change: Change<'a>,
}

/// What becomes of a sealed ticket on its way.
#[derive(Arbitrary, Debug)]
enum Change<'a> {
    None,
    /// A byte is another one.
    Byte(u8, u8),
    /// The end is cut off.
    Cut(u8),
    /// Something follows.
    Longer(&'a [u8]),
    /// These bytes come in its place.
    Other(&'a [u8]),
    /// Another server's.
    Key([u8; 32]),
}

const KEY: [u8; 32] = [7; 32];

fuzz_target!(|input: Input<'_>| {
    let ticket = Ticket {
        serial: input.serial & ((1 << 40) - 1),
        generation: input.generation & ((1 << 24) - 1),
    };
    let tickets = Tickets::new(TicketKey::new(KEY));
    let sealed = tickets.seal(ticket).expect("it fits").into_bytes();
    let (mut sent, mut key) = (sealed.clone(), KEY);
    match input.change {
        Change::None => {}
        Change::Byte(at, by) => {
            let at = usize::from(at) % sent.len();
            sent[at] ^= by;
        }
        Change::Cut(by) => sent.truncate(sealed.len().saturating_sub(by.into())),
        Change::Longer(more) => sent.extend(more),
        Change::Other(bytes) => sent = bytes.to_vec(),
        Change::Key(other) => key = other,
    }
    let receiver = Tickets::new(TicketKey::new(key));
    let opened = receiver.open(&sent);
    if sent == sealed && key == KEY {
        assert_eq!(opened, Some(ticket));
    } else if let Some(opened) = opened {
        // What other bytes open are another ticket, as it would be sealed.
        let sealed = receiver.seal(opened).expect("it was opened");
        assert_eq!(sealed.as_bytes(), sent);
        assert!(opened != ticket || key != KEY);
    }
});
