//! What the relay tells the operator, as log lines.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use crate::turn::{AllocationEnded, AllocationMoved, AllocationOpened, Event, Loudness, Refused};

/// Lines about refused requests in one [`PERIOD`]: anyone can cause them.
const MAX_REFUSALS: u32 = 50;
const PERIOD: Duration = Duration::from_secs(1);

/// Writes the lines of one worker.
pub(super) struct EventLog {
    full_addresses: bool,
    period_began: Instant,
    refusals: u32,
    held_back: u64,
}

impl EventLog {
    pub(super) fn new(full_addresses: bool, now: Instant) -> Self {
        Self {
            full_addresses,
            period_began: now,
            refusals: 0,
            held_back: 0,
        }
    }

    /// Writes a line; `kernel_drops` were the datagrams that the kernel dropped at the relay socket of an allocation that ended.
    pub(super) fn write(&mut self, event: &Event, kernel_drops: u32, now: Instant) {
        match event {
            Event::Opened(opened) => self.opened(opened),
            Event::Moved(moved) => self.moved(moved),
            Event::Ended(ended) => self.ended(ended, kernel_drops),
            Event::Refused(refused) => self.refused(refused, now),
        }
    }

    /// An address as it may be logged.
    pub(super) fn shown(&self, ip: IpAddr) -> ShownAddress {
        ShownAddress {
            ip: ip.to_canonical(),
            full: self.full_addresses,
        }
    }

    fn opened(&self, opened: &AllocationOpened) {
        info!(
            allocation = opened.serial,
            realm = opened.realm.as_deref(),
            user = opened.user,
            client = %self.shown(opened.flow.five_tuple.client.ip()),
            transport = %opened.flow.five_tuple.transport,
            relayed = %listed(&opened.relayed),
            lifetime = opened.lifetime.as_secs(),
            "allocation opened"
        );
    }

    fn moved(&self, moved: &AllocationMoved) {
        info!(
            allocation = moved.serial,
            realm = moved.realm.as_deref(),
            user = moved.user,
            client = %self.shown(moved.flow.five_tuple.client.ip()),
            transport = %moved.flow.five_tuple.transport,
            "client moved"
        );
    }

    fn ended(&self, ended: &AllocationEnded, kernel_drops: u32) {
        let traffic = &ended.traffic;
        info!(
            allocation = ended.serial,
            realm = ended.realm.as_deref(),
            user = ended.user,
            client = %self.shown(ended.flow.five_tuple.client.ip()),
            transport = %ended.flow.five_tuple.transport,
            relayed = %listed(&ended.relayed),
            seconds = ended.age.as_secs(),
            packets_to_peer = traffic.packets_to_peer,
            bytes_to_peer = traffic.bytes_to_peer,
            packets_to_client = traffic.packets_to_client,
            bytes_to_client = traffic.bytes_to_client,
            dropped = traffic.drops.total(),
            kernel_drops,
            reason = ended.reason.as_str(),
            "allocation ended"
        );
    }

    fn refused(&mut self, refused: &Refused, now: Instant) {
        let loudness = refused.reject.loudness();
        if loudness != Loudness::Debug && !self.may_write(now) {
            return;
        }
        let code = refused.reject.code().0;
        let method = format_args!("{:?}", refused.method);
        let client = self.shown(refused.client.ip());
        let (user, peer) = (refused.username.as_deref(), refused.peer.map(|peer| peer.0));
        let realm = refused.realm.as_deref();
        let (refusal, reason) = (refused.reject.label(), refused.reject.detail());
        match loudness {
            Loudness::Debug => {
                debug!(code, refusal, %method, %client, realm, user, ?peer, reason, "refused")
            }
            Loudness::Info => {
                info!(code, refusal, %method, %client, realm, user, ?peer, reason, "refused")
            }
            Loudness::Warn => {
                warn!(code, refusal, %method, %client, realm, user, ?peer, reason, "refused")
            }
        }
    }

    /// Whether there is room for one more line about a refusal; what was held back is counted and told.
    fn may_write(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.period_began) >= PERIOD {
            if self.held_back > 0 {
                info!(lines = self.held_back, "refusals not logged one by one");
            }
            (self.period_began, self.refusals, self.held_back) = (now, 0, 0);
        }
        if self.refusals >= MAX_REFUSALS {
            self.held_back += 1;
            return false;
        }
        self.refusals += 1;
        true
    }
}

/// A client's address: its network only (IPv4 /24, IPv6 /48) unless the operator asked for all of it.
pub(super) struct ShownAddress {
    ip: IpAddr,
    full: bool,
}

impl fmt::Display for ShownAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            ip if self.full => ip.fmt(f),
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                write!(f, "{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(ip) => {
                let network = std::net::Ipv6Addr::from(u128::from(ip) >> 80 << 80);
                write!(f, "{network}/48")
            }
        }
    }
}

/// Addresses with a space between them.
fn listed(addresses: &[SocketAddr]) -> String {
    let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_address_is_cut_to_its_network() {
        let log = EventLog::new(false, Instant::now());
        let shown = |text: &str| log.shown(text.parse().unwrap()).to_string();
        assert_eq!(shown("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(shown("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6"), "2001:db8:1::/48");
        let log = EventLog::new(true, Instant::now());
        assert_eq!(
            log.shown("192.0.2.77".parse().unwrap()).to_string(),
            "192.0.2.77"
        );
    }

    #[test]
    fn lines_about_refusals_are_bounded() {
        let now = Instant::now();
        let mut log = EventLog::new(false, now);
        let written = (0..1000).filter(|_| log.may_write(now)).count();
        assert_eq!(written, MAX_REFUSALS as usize);
        assert!(log.may_write(now + PERIOD));
    }
}
