//! From what was typed to what can be served: the checks that look at several keys.

use std::net::IpAddr;
use std::num::NonZeroUsize;

use tracing::level_filters::LevelFilter;

use super::problem::Problem;
use super::raw;
use super::surroundings::Surroundings;
use super::text::{ClientAddresses, LogFormat};
use super::value::{At, Reader};
use super::{
    admin as admin_table, certificate, credentials, events, http, listeners, nat_discovery,
    prometheus, realms, relay,
};
use crate::admission::{self, bandwidth, peer_filter, quota, rate_limit};
use crate::events::Settings as EventSettings;
use crate::{admin, api, metrics, net, turn};

/// A configuration that can be served.
#[derive(Clone)]
pub struct Checked {
    /// The relay.
    pub relay: net::Relay,
    /// The HTTP interface, if there is one.
    pub api: Option<api::Settings>,
    /// The metrics, if there are any.
    pub metrics: Option<metrics::Settings>,
    /// The admin API.
    pub admin: admin::Settings,
    /// Events and usage, if somebody is told.
    pub events: Option<EventSettings>,
    /// What is logged.
    pub log: LogSettings,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// The form of log lines.
    pub format: LogFormat,
    /// The least severe level that is logged.
    pub level: LevelFilter,
}

/// Checks a document; what is wrong is left with the reader.
pub(super) fn check(document: &raw::Document, host: &Surroundings, reader: &mut Reader) -> Checked {
    let certificate = document
        .tls
        .as_ref()
        .and_then(|tls| certificate::check(tls, host, reader));
    let named = (document.tls.as_ref())
        .map(|tls| certificate::check_named(tls, host, reader))
        .unwrap_or_default();
    let proxies = listeners::proxies(&document.listen, reader);
    let listeners = listeners::check(&document.listen, document.tls.as_ref(), host, reader);
    let relays = relay::check(&document.relay, &listeners, host, reader);
    let auth = credentials::check(&document.auth, "[auth]", host, reader);
    let (name, certificate) = match certificate {
        Some(usable) => (usable.name, Some(usable.files)),
        None => (None, None),
    };
    let of_api = document.api.iter().map(|api| &api.value.listen.value);
    let of_metrics = document
        .metrics
        .iter()
        .map(|table| &table.value.listen.value);
    let of_admin = document.admin.value.tcp.iter();
    let of_admin = of_admin.map(|tcp| &tcp.value.listen.value);
    let http = of_api.chain(of_metrics).chain(of_admin);
    let http: Vec<_> = http.flatten().cloned().collect();
    let discovery = document.nat_discovery.as_ref().map(|table| {
        let beside = nat_discovery::Beside {
            listeners: &listeners,
            relays: &relays,
            host,
        };
        let (discovery, more) = nat_discovery::check(table, &beside, reader);
        nat_discovery::warn_of_private(&discovery, table, reader);
        (discovery, more)
    });
    let (discovery, more) = discovery.unzip();
    // What clients are told to use are the listeners that were asked for; the others are told by the protocol.
    let asked_for = listeners;
    let listeners = [asked_for.clone(), more.unwrap_or_default()].concat();
    listeners::report_duplicates(&listeners, &http, reader);
    let mut own_addresses = relay::own_addresses(&relays, host);
    let told = discovery
        .iter()
        .flat_map(|discovery: &turn::NatDiscovery| &discovery.origins);
    own_addresses.extend(told.flat_map(|origins| origins.external));
    let beside = realms::Beside {
        listeners: &listeners,
        own_addresses: &own_addresses,
        host,
    };
    let realms = realms::check(document, &beside, reader);
    let served = http::Served {
        auth: &auth,
        realms: &realms,
        listeners: &asked_for,
        relays: &relays,
        name,
        is_proxied: !proxies.is_empty(),
    };
    let api = document
        .api
        .as_ref()
        .map(|api| http::check(api, &served, host, reader));
    let metrics = (document.metrics.as_ref()).map(|table| prometheus::check(table, reader));
    let admin = admin_table::check(&document.admin, host, reader);
    let events = events::check(document, &auth.realm, host, reader);
    let log = &document.log.value;
    Checked {
        relay: net::Relay {
            turn: turn::Settings {
                nat_discovery: discovery,
                ..turn(document, &listeners, reader)
            },
            admission: admission(document, &own_addresses),
            name_rule_in_reply: document.peers.value.name_rule_in_reply.value,
            realms,
            net: net::Settings {
                listeners: listeners.iter().map(|at| at.value).collect(),
                certificate,
                certificates: named,
                proxies,
                relay_addresses: relays,
                ..shell(document)
            },
            auth,
            log_full_addresses: log.client_addresses.value == ClientAddresses::Full,
        },
        api,
        metrics,
        admin,
        events,
        log: LogSettings {
            format: log.format.value,
            level: log.level.value.0,
        },
    }
}

/// The settings of the shell that stand for themselves.
fn shell(document: &raw::Document) -> net::Settings {
    let limits = &document.limits.value;
    let relay = &document.relay.value;
    let server = &document.server.value;
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    net::Settings {
        listeners: Vec::new(),
        certificate: None,
        certificates: Vec::new(),
        proxies: Vec::new(),
        http: None,
        events: None,
        relay_addresses: Vec::new(),
        workers: NonZeroUsize::new(server.workers.value.0 as usize).unwrap_or(cores),
        relay_ports: relay.ports.value.0.clone(),
        icmp_errors: relay.icmp_errors.value != turn::IcmpErrors::None,
        copy_dscp_and_ecn: relay.copy_dscp_and_ecn.value,
        max_connections: limits.connections.value.0 as usize,
        max_connections_per_address: limits.connections_per_address.value.0 as usize,
        new_connections: rate_limit::Settings {
            per_second: limits.new_connections_per_second.value.0,
            burst: limits.new_connections_burst.value.0,
        },
        idle_timeout: limits.idle_timeout.value.0,
        handshake_timeout: limits.handshake_timeout.value.0,
        plain_on_tls: (document.tls.as_ref()).is_none_or(|tls| tls.value.accept_plain.value),
        listener_receive_buffer: server.listener_receive_buffer.value.0,
        relay_receive_buffer: server.relay_receive_buffer.value.0,
        udp_backend: server.udp_backend.value.0,
    }
}

fn turn(
    document: &raw::Document,
    listeners: &[At<net::Listener>],
    reader: &mut Reader,
) -> turn::Settings {
    let raw = &document.turn.value;
    let (default, max) = (&raw.default_lifetime, &raw.max_lifetime);
    if default.value.0 > max.value.0 {
        let wrong = "`default_lifetime` is longer than `max_lifetime`";
        let (place, other) = match &default.span {
            Some(_) => (default.span.clone(), max.span.clone()),
            None => (max.span.clone(), None),
        };
        reader.report(
            Problem::error(place, wrong)
                .also(other, "max_lifetime")
                .help("shorten the one or raise the other; they are 10m and 1h unless written"),
        );
    }
    for server in &raw.alternate_servers.value {
        let address = server.value;
        let wrong = if address.ip().is_unspecified() || address.port() == 0 {
            Some("this is no address that a client could go to")
        } else if listeners.iter().any(|at| at.value.address == address) {
            Some("this is this server: its clients would be sent round in a circle")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let problem = Problem::error(server.span.clone(), wrong);
            reader.report(problem.help("name another server, such as \"203.0.113.9:3478\""));
        }
    }
    let alternates = turn::Alternates {
        servers: raw
            .alternate_servers
            .value
            .iter()
            .map(|at| at.value)
            .collect(),
        domain: raw.alternate_domain.as_ref().map(|at| at.value.0.clone()),
    };
    if let (Some(domain), true) = (&raw.alternate_domain, alternates.servers.is_empty()) {
        reader.report(
            Problem::error(
                domain.span.clone(),
                "`alternate_domain` names no server without `alternate_servers`",
            )
            .help("add alternate_servers = [\"203.0.113.9:3478\"], or remove it"),
        );
    }
    turn::Settings {
        nat_discovery: None,
        alternates,
        software: raw.software.value.then(|| SOFTWARE.to_owned()),
        default_lifetime: default.value.0,
        max_lifetime: max.value.0,
        nonce_lifetime: raw.nonce_lifetime.value.0,
        channel_numbers: raw.channel_numbers.value,
        channel_keeps_permission: raw.channel_keeps_permission.value,
        max_permissions: raw.max_permissions.value.0 as usize,
        max_channels: raw.max_channels.value.0 as usize,
        mobility: raw.mobility.value,
        max_peer_connections: (document.relay.value.tcp.value)
            .then_some(raw.max_peer_connections.value.0 as usize),
        icmp_errors: document.relay.value.icmp_errors.value,
        draft_address_families: raw.draft_address_families.value,
    }
}

fn admission(document: &raw::Document, own_addresses: &[IpAddr]) -> admission::Settings {
    let limits = &document.limits.value;
    admission::Settings {
        peers: peers(&document.peers.value, own_addresses),
        quotas: quotas(limits),
        bandwidth: bandwidth(limits),
        unauthenticated_replies: rate_limit::Settings {
            per_second: limits.unauthenticated_replies_per_second.value.0,
            burst: limits.unauthenticated_replies_burst.value.0,
        },
    }
}

/// What `[peers]` says, or a realm in its place.
pub(super) fn peers(peers: &raw::Peers, own_addresses: &[IpAddr]) -> peer_filter::Settings {
    let ranges = |list: &At<Vec<At<peer_filter::PeerRange>>>| {
        list.value.iter().map(|at| at.value.clone()).collect()
    };
    peer_filter::Settings {
        deny_special_purpose: peers.deny_special_purpose.value,
        denied: ranges(&peers.deny),
        allowed: ranges(&peers.allow),
        own_addresses: if peers.deny_own_addresses.value {
            own_addresses.to_vec()
        } else {
            Vec::new()
        },
    }
}

/// The allocations of `[limits]`, or of a realm in its place.
pub(super) fn quotas(limits: &raw::Limits) -> quota::Settings {
    quota::Settings {
        per_user: limits.allocations_per_user.value.0,
        per_client_address: limits.allocations_per_client_address.value.0,
        total: limits.allocations_total.value.0,
    }
}

/// The bandwidth of `[limits]`, or of a realm in its place.
pub(super) fn bandwidth(limits: &raw::Limits) -> bandwidth::Settings {
    bandwidth::Settings {
        per_allocation: limits.bandwidth_per_allocation.value.0,
        per_user: limits.bandwidth_per_user.value.0,
        total: limits.bandwidth_total.value.0,
    }
}

const SOFTWARE: &str = concat!("uturn ", env!("CARGO_PKG_VERSION"));
