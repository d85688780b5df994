//! What the relay tells the operator: as log lines, and as events to who takes them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::event_tap::{EventTap, What};
use crate::turn::{AllocationEnded, AllocationMoved, AllocationOpened, Event, Loudness, Refused};

/// Lines, and events, about refused requests in one [`PERIOD`]: anyone can cause them.
const MAX_REFUSALS: u32 = 50;
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// Writes the lines of one worker, and tells its events.
pub(super) struct EventLog {
    full_addresses: bool,
    refusals: Share,
    /// Who is told of events beside the log.
    tap: Option<EventTap>,
}

/// Who refused requests are spoken of to, in each [`PERIOD`].
struct Share {
    period_began: Instant,
    spoken_of: u32,
    held_back: u64,
}

impl EventLog {
    pub(super) fn new(full_addresses: bool, tap: Option<EventTap>, now: Instant) -> Self {
        Self {
            full_addresses,
            refusals: Share {
                period_began: now,
                spoken_of: 0,
                held_back: 0,
            },
            tap,
        }
    }

    /// Writes a line; `kernel_drops` were the datagrams that the kernel dropped at the relay socket of an allocation that ended.
    pub(super) fn write(&mut self, event: Event, kernel_drops: u32, now: Instant) {
        let is_told = match &event {
            Event::Opened(opened) => {
                self.opened(opened);
                true
            }
            Event::Moved(moved) => {
                self.moved(moved);
                true
            }
            Event::Ended(ended) => {
                self.ended(ended, kernel_drops);
                true
            }
            Event::Refused(refused) => self.refused(refused, now),
        };
        if let Some(tap) = self.tap.as_ref().filter(|_| is_told) {
            tap.tell(What::Event {
                event,
                kernel_drops,
            });
        }
    }

    /// Says how many refusals were held back, once their period is over.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(held_back) = self.refusals.begin_period(now) {
            info!(lines = held_back, "refusals not logged one by one");
            if let Some(tap) = &self.tap {
                tap.tell(What::RefusalsHeldBack(held_back));
            }
        }
    }

    fn shown(&self, ip: IpAddr) -> ShownAddress {
        ShownAddress::new(ip, self.full_addresses)
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

    /// Whether it is more than a part of every healthy session, and was not held back.
    fn refused(&mut self, refused: &Refused, now: Instant) -> bool {
        let loudness = refused.reject.loudness();
        if loudness != Loudness::Debug {
            self.handle_timeout(now);
            if !self.refusals.take() {
                return false;
            }
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
        loudness != Loudness::Debug
    }
}

impl Share {
    /// Begins a new period where the last one is over, and returns what was held back in that.
    fn begin_period(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.period_began) < PERIOD {
            return None;
        }
        let held_back = self.held_back;
        (self.period_began, self.spoken_of, self.held_back) = (now, 0, 0);
        (held_back > 0).then_some(held_back)
    }

    /// Whether there is room for one more; what has none is counted.
    fn take(&mut self) -> bool {
        if self.spoken_of >= MAX_REFUSALS {
            self.held_back += 1;
            return false;
        }
        self.spoken_of += 1;
        true
    }
}

/// A client's address: its network only (IPv4 /24, IPv6 /48) unless the operator asked for all of it.
#[derive(Clone, Copy, Debug)]
pub struct ShownAddress {
    ip: IpAddr,
    full: bool,
}

impl ShownAddress {
    /// An address, in `full` or not.
    pub fn new(ip: IpAddr, full: bool) -> Self {
        let ip = ip.to_canonical();
        Self { ip, full }
    }
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
    use crate::turn::{ClientAddr, Method, Reject};

    #[test]
    fn a_client_address_is_cut_to_its_network() {
        let shown = |text: &str| ShownAddress::new(text.parse().unwrap(), false).to_string();
        assert_eq!(shown("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(shown("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6"), "2001:db8:1::/48");
        let in_full = ShownAddress::new("192.0.2.77".parse().unwrap(), true);
        assert_eq!(in_full.to_string(), "192.0.2.77");
    }

    fn refused(reject: Reject) -> Event {
        Event::Refused(Refused {
            client: ClientAddr("192.0.2.77:5000".parse().unwrap()),
            method: Method::Allocate,
            reject,
            realm: None,
            username: None,
            peer: None,
        })
    }

    #[test]
    fn refusals_are_bounded_and_what_is_held_back_is_told() {
        let now = Instant::now();
        let (told, all) = std::sync::mpsc::channel();
        let tap = EventTap::new(move |it| told.send(it.what).unwrap());
        let mut log = EventLog::new(false, Some(tap), now);
        for _ in 0..1000 {
            log.write(refused(Reject::NoAllocation), 0, now);
        }
        assert_eq!(all.try_iter().count(), MAX_REFUSALS as usize);
        // It is told although nothing follows, and once.
        log.handle_timeout(now + PERIOD);
        log.handle_timeout(now + PERIOD * 2);
        let held_back = 1000 - u64::from(MAX_REFUSALS);
        let told: Vec<_> = all.try_iter().collect();
        assert!(
            matches!(told[..], [What::RefusalsHeldBack(count)] if count == held_back),
            "{told:?}"
        );
        log.write(refused(Reject::NoAllocation), 0, now + PERIOD * 2);
        assert_eq!(all.try_iter().count(), 1);
    }

    #[test]
    fn what_begins_every_session_is_no_event() {
        let now = Instant::now();
        let tap = EventTap::new(|told| panic!("{told:?}"));
        let mut log = EventLog::new(false, Some(tap), now);
        for reject in [Reject::NoCredentials, Reject::StaleNonce] {
            log.write(refused(reject), 0, now);
        }
    }
}
