//! What a configuration serves, in a few lines.

use crate::admin::Socket;
use crate::admission::peer_filter;
use crate::auth::{self, AfterExpiry};
use crate::config::{Checked, show_duration};
use crate::events::{self, Kinds};
use crate::net::{Listener, ListenerTransport};
use crate::turn::{ChosenBy, Origins, ServerAddress};

use super::count;

/// Describes what would be served, one topic a line.
pub(super) fn of(checked: &Checked) -> String {
    let mut lines = Vec::new();
    for (transport, name) in TRANSPORTS {
        let addresses = addresses(&checked.relay.net.listeners, transport);
        if !addresses.is_empty() {
            lines.push((name, addresses.join(", ")));
        }
        if transport == ListenerTransport::Shared && !addresses.is_empty() {
            let serves = match checked.api {
                Some(_) => "turns, turn over TCP, https",
                None => "turns, turn over TCP; no https, for want of [api]",
            };
            lines.push(("", serves.to_owned()));
        }
    }
    let net = &checked.relay.net;
    for named in &net.certificates {
        lines.push(("names", named.names.join(", ")));
    }
    if !net.proxies.is_empty() {
        let ranges: Vec<_> = net.proxies.iter().map(ToString::to_string).collect();
        let ranges = ranges.join(", ");
        lines.push((
            "proxy",
            format!("from {ranges}, with a header that says whose it is"),
        ));
    }
    lines.push(("relay", relay(checked)));
    if let Some(discovery) = &checked.relay.turn.nat_discovery {
        for origins in &discovery.origins {
            lines.push(("nat", nat(origins)));
        }
    }
    lines.push(("auth", auth(&checked.relay.auth)));
    lines.push(("peers", peers(&checked.relay.admission.peers)));
    for realm in &checked.relay.realms {
        lines.push(("auth", auth(&realm.auth)));
        lines.push(("", format!("chosen by {}", chosen_by(&realm.chosen_by))));
        lines.push(("", format!("peers: {}", peers(&realm.peers))));
    }
    if let Some(api) = &checked.api {
        let listen: Vec<_> = api.listen.iter().map(ToString::to_string).collect();
        if !listen.is_empty() {
            lines.push(("http", listen.join(", ")));
        }
        for (index, uri) in api.uris.iter().enumerate() {
            lines.push((if index == 0 { "uris" } else { "" }, uri.clone()));
        }
    }
    if let Some(metrics) = &checked.metrics {
        let names = match metrics.coturn_names {
            true => ", with coturn's names",
            false => "",
        };
        let listen: Vec<_> = metrics.listen.iter().map(ToString::to_string).collect();
        let (listen, path) = (listen.join(", "), &metrics.path);
        lines.push(("shows", format!("metrics at {listen}, path {path}{names}")));
    }
    lines.push(("admin", socket(&checked.admin.socket)));
    if let Some(tcp) = &checked.admin.tcp {
        let listen: Vec<_> = tcp.listen.iter().map(ToString::to_string).collect();
        lines.push((
            "",
            format!("{}, over HTTPS with a token", listen.join(", ")),
        ));
    }
    for told in checked.events.iter().flat_map(of_events) {
        lines.push(("tells", told));
    }
    let shown = lines
        .iter()
        .map(|(topic, text)| format!("  {topic:<6} {text}\n"));
    shown.collect()
}

/// Where operators ask.
fn socket(socket: &Socket) -> String {
    match socket {
        Socket::Off => "no socket".to_owned(),
        Socket::Auto(path) => {
            let directory = path.parent().unwrap_or(path).display();
            let path = path.display();
            format!("at {path}, where the server may write to {directory}")
        }
        Socket::At(path) => format!("at {}", path.display()),
    }
}

/// Where clients are awaited, on one line: `udp 0.0.0.0:3478, tls [::]:5349`.
pub(super) fn of_listeners(listeners: &[Listener]) -> String {
    let shown = TRANSPORTS.iter().flat_map(|(transport, name)| {
        let addresses = addresses(listeners, *transport).into_iter();
        addresses.map(move |address| format!("{name} {address}"))
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn addresses(listeners: &[Listener], transport: ListenerTransport) -> Vec<String> {
    let of_transport = listeners
        .iter()
        .filter(|listener| listener.transport == transport);
    of_transport
        .map(|listener| listener.address.to_string())
        .collect()
}

fn relay(checked: &Checked) -> String {
    let net = &checked.relay.net;
    let addresses: Vec<_> = net
        .relay_addresses
        .iter()
        .map(|relay| match relay.external {
            Some(external) => format!("{} (seen as {external})", relay.bind),
            None => relay.bind.to_string(),
        })
        .collect();
    let (first, last) = (net.relay_ports.start(), net.relay_ports.end());
    format!("{}, ports {first}-{last}", addresses.join(", "))
}

/// NAT behaviour discovery, where it is offered.
fn nat(origins: &Origins) -> String {
    let ([first, second], ports) = (origins.external, origins.ports);
    format!(
        "behaviour discovery from {first} and {second}, ports {} and {}",
        ports[0], ports[1]
    )
}

/// What chooses a realm, in the order in which it counts.
fn chosen_by(chosen_by: &ChosenBy) -> String {
    let address = |address: &ServerAddress| match address {
        ServerAddress::Ip(ip) => ip.to_string(),
        ServerAddress::Port(address) => address.to_string(),
    };
    let addresses: Vec<_> = chosen_by.addresses.iter().map(address).collect();
    let ways = [
        ("origin", &chosen_by.origins),
        ("server name", &chosen_by.server_names),
        ("address", &addresses),
    ];
    let ways = ways.iter().filter(|(_, claims)| !claims.is_empty());
    let ways = ways.map(|(way, claims)| format!("{way} {}", claims.join(", ")));
    ways.collect::<Vec<_>>().join("; ")
}

/// Who is told of what, one line each. The path of a URL may be a secret.
pub(super) fn of_events(settings: &events::Settings) -> Vec<String> {
    let file = settings.file.iter();
    let file = file.map(|file| format!("{} to {}", kinds(file.kinds), file.path.display()));
    let webhooks = settings.webhooks.iter().map(|hook| {
        let (scheme, rest) = hook.url.split_once("://").unwrap_or_default();
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (kinds, name) = (kinds(hook.kinds), &hook.name);
        format!("{kinds} to the webhook {name} at {scheme}://{host}")
    });
    let usage = settings.usage.iter().map(|usage| {
        let (every, path) = (show_duration(usage.every), usage.path.display());
        format!("usage every {every} to {path}")
    });
    file.chain(webhooks).chain(usage).collect()
}

fn kinds(kinds: Kinds) -> String {
    let named = [
        ("sessions", kinds.sessions),
        ("refusals", kinds.refusals),
        ("limits", kinds.limits),
        ("server", kinds.server),
    ];
    let wanted = named.iter().filter(|(_, is_wanted)| *is_wanted);
    let names: Vec<_> = wanted.map(|(name, _)| *name).collect();
    names.join(", ")
}

fn auth(auth: &auth::Settings) -> String {
    let after = match auth.after_expiry {
        AfterExpiry::RefreshFor(time) => format!(
            "allocations may outlive credentials by {}",
            show_duration(time)
        ),
        AfterExpiry::End => "allocations end with their credential".into(),
    };
    let secrets = count(auth.shared_secrets.len(), "shared secret");
    let users = count(auth.static_users.len(), "user");
    let keys = match auth.tokens.keys.len() {
        0 => String::new(),
        keys => format!(", {}", count(keys, "token key")),
    };
    format!("realm {}, {secrets}, {users}{keys}; {after}", auth.realm)
}

fn peers(peers: &peer_filter::Settings) -> String {
    let mut rules = Vec::new();
    if peers.deny_special_purpose {
        rules.push("special-purpose ranges denied".to_owned());
    }
    if !peers.own_addresses.is_empty() {
        rules.push("this host denied".to_owned());
    }
    for (ranges, verb) in [(&peers.denied, "denied"), (&peers.allowed, "allowed")] {
        if !ranges.is_empty() {
            rules.push(format!("{} {verb}", count(ranges.len(), "range")));
        }
    }
    if rules.is_empty() {
        return "every address may be reached".into();
    }
    rules.join(", ")
}

const TRANSPORTS: [(ListenerTransport, &str); 5] = [
    (ListenerTransport::Udp, "udp"),
    (ListenerTransport::Tcp, "tcp"),
    (ListenerTransport::Tls, "tls"),
    (ListenerTransport::Dtls, "dtls"),
    (ListenerTransport::Shared, "shared"),
];
