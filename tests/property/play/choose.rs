//! What happens next.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::{CLIENTS, DENIED, Operation, Play, STRAGGLERS, USERS};
use crate::model::{Ask, Wish};
use crate::net::at;

/// Peers that no rule denies: ports of one address among them.
const PEERS: [&str; 9] = [
    "9.9.9.1:1000",
    "9.9.9.1:2000",
    "9.9.9.2:1000",
    "9.9.9.3:1000",
    "9.9.9.4:1000",
    "9.9.9.5:1000",
    "[2600::1]:1000",
    "[2600::1]:2000",
    "[2600::2]:1000",
];

/// Just before, at and just after what ends.
const PAUSES: [u64; 13] = [
    1, 400, 999, 1000, 1001, 29_999, 30_000, 299_999, 300_000, 300_001, 599_999, 600_000, 3_600_000,
];

/// How long a client waits for a response, in milliseconds (RFC 8489 §6.2.1); not at all where the network doubles a datagram.
const PATIENCE: [u64; 4] = [0, 500, 1500, 39_500];

pub(super) const NUMBERS: [u16; 7] = [0x4000, 0x4001, 0x4002, 0x4003, 0x4FFF, 0x5000, 0x7FFF];

/// Every peer, denied ones too.
pub(super) fn all_peers() -> impl Iterator<Item = SocketAddr> {
    PEERS.iter().chain(&DENIED).map(|peer| at(peer))
}

impl Play {
    pub(super) fn choose(&mut self) -> Operation {
        let client = self.rng.random_range(0..CLIENTS.len());
        match self.rng.random_range(0..100) {
            0..45 => self.choose_request(client),
            45..55 => Operation::Send {
                client,
                peer: self.choose_peer(),
            },
            55..65 => Operation::ChannelData {
                client,
                number: self.choose_number(),
            },
            65..80 => Operation::PeerData {
                relayed: self.choose_told(),
                peer: self.choose_peer(),
            },
            80..95 => Operation::Pause {
                time: Duration::from_millis(*PAUSES.choose(&mut self.rng).expect("some")),
                noticed: self.rng.random_bool(0.8),
            },
            95..97 => Operation::Straggler {
                which: self.rng.random_range(0..STRAGGLERS),
            },
            97..99 => Operation::Disconnect { client },
            _ => Operation::Probe,
        }
    }

    fn choose_request(&mut self, client: usize) -> Operation {
        let ask = match self.rng.random_range(0..10) {
            0..4 => Ask::Allocate(self.choose_wish()),
            4..6 => Ask::Refresh {
                lifetime: self.choose_lifetime(),
                family: self
                    .rng
                    .random_bool(0.1)
                    .then(|| self.rng.random_range(1..=2)),
            },
            6..8 => {
                let count = self.rng.random_range(0..4);
                Ask::CreatePermission((0..count).map(|_| self.choose_peer()).collect())
            }
            _ => Ask::ChannelBind {
                number: self.choose_number(),
                peer: self.choose_peer(),
            },
        };
        Operation::Request {
            client,
            // Mostly one user for each client, so that they get somewhere.
            user: if self.rng.random_bool(0.8) {
                client % USERS.len()
            } else {
                self.rng.random_range(0..USERS.len())
            },
            knows_password: self.rng.random_bool(0.96),
            ask,
            unknown_attribute: self.rng.random_bool(0.03),
            arrivals: *[0, 1, 1, 1, 1, 1, 1, 2, 3]
                .choose(&mut self.rng)
                .expect("some"),
            patience: Duration::from_millis(*PATIENCE.choose(&mut self.rng).expect("some")),
        }
    }

    fn choose_wish(&mut self) -> Wish {
        let rare = |rng: &mut StdRng| rng.random_bool(0.15);
        Wish {
            transport: *[
                Some(17),
                Some(17),
                Some(17),
                Some(17),
                Some(17),
                Some(6),
                None,
            ]
            .choose(&mut self.rng)
            .expect("some"),
            lifetime: self.choose_lifetime(),
            even: rare(&mut self.rng).then(|| self.rng.random()),
            family: rare(&mut self.rng).then(|| self.rng.random_range(1..=3)),
            token: rare(&mut self.rng).then(|| self.choose_token()),
        }
    }

    fn choose_token(&mut self) -> [u8; 8] {
        let held = self.model.a_token();
        held.unwrap_or_else(|| *self.tokens.choose(&mut self.rng).expect("one"))
    }

    fn choose_lifetime(&mut self) -> Option<u32> {
        let lifetimes = [
            None,
            Some(0),
            Some(1),
            Some(700),
            Some(3600),
            Some(u32::MAX),
        ];
        *lifetimes.choose(&mut self.rng).expect("some")
    }

    fn choose_number(&mut self) -> u16 {
        *NUMBERS.choose(&mut self.rng).expect("some")
    }

    fn choose_peer(&mut self) -> SocketAddr {
        match self.rng.random_range(0..10) {
            0..7 => at(PEERS.choose(&mut self.rng).expect("some")),
            7 => at(DENIED.choose(&mut self.rng).expect("some")),
            _ => self.choose_told(),
        }
    }

    fn choose_told(&mut self) -> SocketAddr {
        let recent = self.told.len().saturating_sub(8);
        *self.told[recent..].choose(&mut self.rng).expect("one")
    }
}
