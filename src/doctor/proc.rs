//! The texts of /proc, read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use super::facts::{Protocol, Socket};

/// Sockets that wait for clients in /proc/net/udp, tcp, udp6 or tcp6; of TCP those that listen.
pub(super) fn sockets(text: &str, protocol: Protocol) -> Vec<Socket> {
    const LISTEN: &str = "0A";
    let line = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let address = address(fields.next()?)?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok()?;
        let waits = protocol == Protocol::Udp || state == LISTEN;
        waits.then_some(Socket {
            protocol,
            address,
            inode,
            owner: None,
        })
    };
    text.lines().skip(1).filter_map(line).collect()
}

/// `0100007F:0D96`: the address as the numbers that lie in memory, the port as it is.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |text: &str| Some(u32::from_str_radix(text, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(address)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_mut(4).enumerate() {
                chunk.copy_from_slice(&word(address.get(at * 8..at * 8 + 8)?)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// InDatagrams and RcvbufErrors of /proc/net/snmp.
pub(super) fn udp_counters(snmp: &str) -> Option<(u64, u64)> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |wanted: &str| {
        let at = names.split_whitespace().position(|name| name == wanted)?;
        values.split_whitespace().nth(at)?.parse().ok()
    };
    Some((value("InDatagrams")?, value("RcvbufErrors")?))
}

/// The second column of /proc/net/softnet_stat, of all processors.
pub(super) fn backlog_drops(softnet: &str) -> Option<u64> {
    let mut sum = 0;
    for line in softnet.lines() {
        sum += u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok()?;
    }
    Some(sum)
}

/// The hard limit of descriptors in /proc/PID/limits: the server raises its soft one to it.
pub(super) fn descriptors(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    match line.split_whitespace().nth(4)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// A field of /proc/PID/status, such as `CapEff`.
pub(super) fn status<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .find(|(name, _)| *name == field)
        .map(|(_, value)| value.trim())
}

/// Whether the effective capabilities in /proc/PID/status have this one.
pub(super) fn is_capable(text: &str, capability: u32) -> bool {
    let all = status(text, "CapEff").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    all.is_some_and(|all| all >> capability & 1 == 1)
}

/// `32768 60999`.
pub(super) fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let (Some(Ok(first)), Some(Ok(last))) = (numbers.next(), numbers.next()) else {
        return None;
    };
    Some(first..=last)
}

/// `8080,9148,49152-65535`.
pub(super) fn port_list(text: &str) -> Vec<RangeInclusive<u16>> {
    let one = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(one).collect()
}

/// The unit in /proc/PID/cgroup.
pub(super) fn unit(cgroup: &str) -> Option<String> {
    let parts = cgroup.lines().flat_map(|line| line.rsplit('/'));
    let mut services = parts.filter(|part| part.ends_with(".service"));
    // What runs under a user's own manager belongs to no unit of the system.
    services
        .find(|name| !name.starts_with("user@"))
        .map(str::to_owned)
}

/// A user of /etc/passwd with the groups of /etc/group that it is in.
pub(super) fn user(passwd: &str, group: &str, name: &str) -> Option<(u32, Vec<u32>)> {
    let mut lines = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find(|fields| fields.first() == Some(&name))?;
    let (uid, gid) = (found.get(2)?.parse().ok()?, found.get(3)?.parse().ok()?);
    let lines = group
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let more = lines.filter(|fields| {
        let members = fields.get(3).map_or("", |members| members);
        members.split(',').any(|member| member == name)
    });
    let more = more.filter_map(|fields| fields.get(2)?.parse().ok());
    Some((uid, std::iter::once(gid).chain(more).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_read_with_their_addresses() {
        let line = |address: &str, state: &str| {
            format!(
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                 1: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000   112        0 4711 2 0 0\n\
                 garbage\n"
            )
        };
        let v4 = format!("{:08X}:0D96", u32::from_ne_bytes([192, 0, 2, 7]));
        let found = sockets(&line(&v4, "07"), Protocol::Udp);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].address.to_string(), found[0].inode),
            ("192.0.2.7:3478".into(), 4711)
        );
        let v6 = format!("{}:01BB", "0".repeat(32));
        assert_eq!(
            sockets(&line(&v6, "0A"), Protocol::Tcp)[0]
                .address
                .to_string(),
            "[::]:443"
        );
        assert!(
            sockets(&line(&v6, "01"), Protocol::Tcp).is_empty(),
            "a connection"
        );
    }

    #[test]
    fn counters_and_limits_are_read() {
        let snmp = "Ip: A\nIp: 1\nUdp: InDatagrams NoPorts RcvbufErrors\nUdp: 12 3 4\nUdpLite: InDatagrams\nUdpLite: 0\n";
        assert_eq!(udp_counters(snmp), Some((12, 4)));
        assert_eq!(udp_counters("Udp: InDatagrams\n"), None);
        assert_eq!(backlog_drops("01 0000000a 00\n02 00000001 00\n"), Some(11));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 65536                files\n";
        assert_eq!(descriptors(limits), Some(65_536));
        assert_eq!(
            descriptors(&limits.replace("65536", "unlimited")),
            Some(u64::MAX)
        );
        let process = "Name:\tuturn\nUid:\t7\t7\t7\t7\nCapEff:\t0000000000000400\n";
        assert!(is_capable(process, 10) && !is_capable(process, 12));
        assert_eq!(status(process, "Name"), Some("uturn"));
    }

    #[test]
    fn ports_units_and_users_are_read() {
        assert_eq!(port_range("32768\t60999\n"), Some(32768..=60999));
        assert_eq!(
            port_list("8080,49152-65535\n"),
            [8080..=8080, 49152..=65535]
        );
        assert!(port_list("\n").is_empty());
        assert_eq!(
            unit("0::/system.slice/coturn.service\n").as_deref(),
            Some("coturn.service")
        );
        assert_eq!(unit("0::/user.slice/user-0.slice/session-1.scope\n"), None);
        let (passwd, group) = (
            "root:x:0:0::/:/bin/sh\nturn:x:112:115::/:/bin/sh\n",
            "ssl-cert:x:106:turn,www\n",
        );
        assert_eq!(user(passwd, group, "turn"), Some((112, vec![115, 106])));
        assert_eq!(user(passwd, group, "nobody"), None);
    }
}
