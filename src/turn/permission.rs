//! Which IP addresses may reach a client, and be reached by it (RFC 8656 §9).

use std::net::IpAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::PERMISSION_LIFETIME;
use super::relayed_addresses::Family;

/// The permissions of one allocation: few, so a sorted list beats a hash table. Most have one, which lies where the
/// allocation lies.
#[derive(Default)]
pub(super) struct Permissions(SmallVec<[(IpAddr, Instant); 1]>);

impl Permissions {
    /// Installs or renews the permission of `ip`; `false` if that would exceed `max`.
    pub(super) fn install(&mut self, ip: IpAddr, now: Instant, max: usize) -> bool {
        let expires = now + PERMISSION_LIFETIME;
        if let Ok(at) = self.find(ip) {
            self.0[at].1 = expires;
            return true;
        }
        self.0.retain(|(_, expires)| *expires > now);
        if self.0.len() >= max {
            return false;
        }
        let at = self.find(ip).unwrap_or_else(|at| at);
        self.0.insert(at, (ip, expires));
        true
    }

    /// How many more could be installed if none of `ips` had one.
    pub(super) fn has_room_for(&self, ips: &[IpAddr], now: Instant, max: usize) -> bool {
        let live = self.0.iter().filter(|(_, expires)| *expires > now).count();
        let mut new: Vec<IpAddr> = ips
            .iter()
            .copied()
            .filter(|ip| !self.is_live(*ip, now))
            .collect();
        new.sort_unstable();
        new.dedup();
        live + new.len() <= max
    }

    /// Forgets those of a family that the allocation no longer relays to.
    pub(super) fn remove_family(&mut self, family: Family) {
        self.0.retain(|(ip, _)| Family::of(*ip) != family);
    }

    /// Whether `ip` has a permission that has not ended.
    pub(super) fn is_live(&self, ip: IpAddr, now: Instant) -> bool {
        self.find(ip).is_ok_and(|at| self.0[at].1 > now)
    }

    /// Those that have not ended, and when each does.
    pub(super) fn live(&self, now: Instant) -> impl Iterator<Item = (IpAddr, Instant)> {
        let all = self.0.iter().copied();
        all.filter(move |(_, expires)| *expires > now)
    }

    fn find(&self, ip: IpAddr) -> Result<usize, usize> {
        self.0.binary_search_by_key(&ip, |(ip, _)| *ip)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn a_permission_lives_exactly_its_lifetime() {
        let (mut permissions, now) = (Permissions::default(), Instant::now());
        permissions.install(ip(1), now, 8);
        let last = now + PERMISSION_LIFETIME - Duration::from_nanos(1);
        assert!(permissions.is_live(ip(1), last));
        assert!(!permissions.is_live(ip(1), now + PERMISSION_LIFETIME));
        assert!(!permissions.is_live(ip(2), now));
    }

    #[test]
    fn the_bound_counts_live_ones_only() {
        let (mut permissions, now) = (Permissions::default(), Instant::now());
        assert!(permissions.install(ip(1), now, 2));
        assert!(permissions.install(ip(2), now, 2));
        assert!(!permissions.install(ip(3), now, 2));
        assert!(
            permissions.install(ip(2), now, 2),
            "a renewal needs no room"
        );
        let later = now + PERMISSION_LIFETIME;
        assert!(permissions.has_room_for(&[ip(3), ip(4), ip(3)], later, 2));
        assert!(!permissions.has_room_for(&[ip(3), ip(4), ip(5)], later, 2));
        assert!(permissions.install(ip(3), later, 2));
    }
}
