//! Channels: a number that stands for one peer (RFC 8656 §12).
//!
//! ```text
//!            ChannelBind            600 s without ChannelBind
//! unbound ───────────────> bound ─────────────────────────────> unbound
//!                          │   ^
//!                          └───┘ ChannelBind, same number and peer
//! ```

use std::net::IpAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::CHANNEL_LIFETIME;
use super::relayed_addresses::Family;
use crate::wire::{ChannelNumber, PeerAddr};

/// The channels of one allocation: few, so two sorted lists beat two hash tables. Most have one, which lies where the
/// allocation lies.
#[derive(Default)]
pub(super) struct Channels {
    by_number: SmallVec<[Channel; 1]>,
    /// Every entry of `by_number` once, sorted by peer.
    by_peer: SmallVec<[(PeerAddr, ChannelNumber); 1]>,
}

struct Channel {
    number: ChannelNumber,
    peer: PeerAddr,
    expires: Instant,
}

/// Why a channel cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BindError {
    /// The number stands for another peer.
    NumberInUse,
    /// The peer has another number.
    PeerInUse,
    /// The allocation holds as many channels as it may.
    Full,
}

impl Channels {
    /// Binds or renews. A binding that has ended gives way to a new one.
    pub(super) fn bind(
        &mut self,
        number: ChannelNumber,
        peer: PeerAddr,
        now: Instant,
        max: usize,
    ) -> Result<(), BindError> {
        let expires = now + CHANNEL_LIFETIME;
        if let Some(channel) = self.live_mut(number, now) {
            // RFC 8656 §12.2: a channel number stays tied to one peer.
            if channel.peer != peer {
                return Err(BindError::NumberInUse);
            }
            channel.expires = expires;
            return Ok(());
        }
        if self.number_of(peer, now).is_some() {
            return Err(BindError::PeerInUse);
        }
        self.remove_ended(now);
        if self.by_number.len() >= max {
            return Err(BindError::Full);
        }
        self.insert(number, peer, expires);
        Ok(())
    }

    /// Whether [`bind`](Self::bind) would succeed.
    pub(super) fn can_bind(
        &self,
        number: ChannelNumber,
        peer: PeerAddr,
        now: Instant,
        max: usize,
    ) -> Result<(), BindError> {
        match (self.peer_of(number, now), self.number_of(peer, now)) {
            (Some(bound), _) if bound != peer => Err(BindError::NumberInUse),
            (Some(_), _) => Ok(()),
            (None, Some(_)) => Err(BindError::PeerInUse),
            (None, None) => {
                let live = self.by_number.iter().filter(|c| c.expires > now).count();
                if live < max {
                    Ok(())
                } else {
                    Err(BindError::Full)
                }
            }
        }
    }

    /// Forgets those to peers of a family that the allocation no longer relays to.
    pub(super) fn remove_family(&mut self, family: Family) {
        let remains = |peer: PeerAddr| Family::of(peer.ip()) != family;
        self.by_number.retain(|channel| remains(channel.peer));
        self.by_peer.retain(|(peer, _)| remains(*peer));
    }

    /// The peer that `number` stands for.
    pub(super) fn peer_of(&self, number: ChannelNumber, now: Instant) -> Option<PeerAddr> {
        let channel = &self.by_number[self.find(number).ok()?];
        (channel.expires > now).then_some(channel.peer)
    }

    /// The number that stands for `peer`.
    pub(super) fn number_of(&self, peer: PeerAddr, now: Instant) -> Option<ChannelNumber> {
        let at = self.find_peer(peer).ok()?;
        let number = self.by_peer[at].1;
        self.peer_of(number, now).map(|_| number)
    }

    /// Whether a live channel leads to any port of `ip`.
    pub(super) fn reaches(&self, ip: IpAddr, now: Instant) -> bool {
        self.by_number
            .iter()
            .any(|channel| channel.peer.ip() == ip && channel.expires > now)
    }

    /// Those that have not ended, and when each does.
    pub(super) fn live(
        &self,
        now: Instant,
    ) -> impl Iterator<Item = (ChannelNumber, PeerAddr, Instant)> {
        let live = self.by_number.iter().filter(move |c| c.expires > now);
        live.map(|channel| (channel.number, channel.peer, channel.expires))
    }

    fn live_mut(&mut self, number: ChannelNumber, now: Instant) -> Option<&mut Channel> {
        let at = self.find(number).ok()?;
        Some(&mut self.by_number[at]).filter(|channel| channel.expires > now)
    }

    fn remove_ended(&mut self, now: Instant) {
        self.by_number.retain(|channel| channel.expires > now);
        let by_number = &self.by_number;
        self.by_peer.retain(|(_, number)| {
            by_number
                .binary_search_by_key(number, |channel| channel.number)
                .is_ok()
        });
    }

    /// Inserts a channel of which neither number nor peer is present.
    fn insert(&mut self, number: ChannelNumber, peer: PeerAddr, expires: Instant) {
        let at = self.find(number).unwrap_or_else(|at| at);
        let channel = Channel {
            number,
            peer,
            expires,
        };
        self.by_number.insert(at, channel);
        let at = self.find_peer(peer).unwrap_or_else(|at| at);
        self.by_peer.insert(at, (peer, number));
        debug_assert_eq!(self.by_number.len(), self.by_peer.len());
        debug_assert!(self.by_number.is_sorted_by_key(|channel| channel.number));
        debug_assert!(self.by_peer.is_sorted());
    }

    fn find(&self, number: ChannelNumber) -> Result<usize, usize> {
        self.by_number
            .binary_search_by_key(&number, |channel| channel.number)
    }

    fn find_peer(&self, peer: PeerAddr) -> Result<usize, usize> {
        self.by_peer.binary_search_by_key(&peer, |(peer, _)| *peer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn number(n: u16) -> ChannelNumber {
        ChannelNumber::new(n).unwrap()
    }

    fn peer(n: u16) -> PeerAddr {
        PeerAddr(([192, 0, 2, 1], n).into())
    }

    #[test]
    fn number_and_peer_stay_tied_to_each_other() {
        let (mut channels, now) = (Channels::default(), Instant::now());
        assert_eq!(channels.bind(number(0x4000), peer(1), now, 8), Ok(()));
        assert_eq!(channels.bind(number(0x4000), peer(1), now, 8), Ok(()));
        assert_eq!(
            channels.bind(number(0x4000), peer(2), now, 8),
            Err(BindError::NumberInUse)
        );
        assert_eq!(
            channels.bind(number(0x4001), peer(1), now, 8),
            Err(BindError::PeerInUse)
        );
        assert_eq!(channels.peer_of(number(0x4000), now), Some(peer(1)));
        assert_eq!(channels.number_of(peer(1), now), Some(number(0x4000)));
        assert_eq!(channels.number_of(peer(2), now), None);
    }

    #[test]
    fn a_binding_that_ended_gives_way() {
        let (mut channels, now) = (Channels::default(), Instant::now());
        channels.bind(number(0x4000), peer(1), now, 8).unwrap();
        let before = now + CHANNEL_LIFETIME - Duration::from_nanos(1);
        assert!(
            channels
                .can_bind(number(0x4000), peer(2), before, 8)
                .is_err()
        );
        let end = now + CHANNEL_LIFETIME;
        assert_eq!(channels.peer_of(number(0x4000), end), None);
        assert!(!channels.reaches(peer(1).ip(), end));
        assert_eq!(channels.bind(number(0x4000), peer(2), end, 8), Ok(()));
        assert_eq!(channels.bind(number(0x4001), peer(1), end, 8), Ok(()));
        assert_eq!(channels.number_of(peer(2), end), Some(number(0x4000)));
    }

    #[test]
    fn the_bound_counts_live_ones_only() {
        let (mut channels, now) = (Channels::default(), Instant::now());
        channels.bind(number(0x4000), peer(1), now, 2).unwrap();
        channels.bind(number(0x4001), peer(2), now, 2).unwrap();
        assert_eq!(
            channels.bind(number(0x4002), peer(3), now, 2),
            Err(BindError::Full)
        );
        let end = now + CHANNEL_LIFETIME;
        assert_eq!(channels.bind(number(0x4002), peer(3), end, 2), Ok(()));
    }
}
