//! `uturn dns`: the records by which clients find the server of a domain.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{FAILED, FINE, refuse, show};
use crate::config::{self, Checked};
use crate::net::ListenerTransport;
use crate::turn::Origins;

/// Print the DNS records by which clients find this server
///
/// They are what a configuration serves, as lines for the zone file of a domain. Nothing is looked up or
/// changed. Browsers are given URIs and need none of them but the address; some phones and SIP devices, and
/// clients that follow RFC 5928, ask the DNS.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// The domain whose clients shall find the server
    #[arg(value_name = "DOMAIN", value_parser = config::domain)]
    domain: String,

    #[command(flatten)]
    config: super::ConfigFile,

    /// The server's own name [default: turn.DOMAIN]
    #[arg(long, value_name = "NAME", value_parser = config::domain)]
    host: Option<String>,

    /// How long resolvers may keep the records: a number and a unit (s, m, h, d)
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = config::duration)]
    ttl: Duration,
}

const HELP: &str = "\
Examples:
  uturn dns example.org
  uturn dns example.org --host relay.example.net --config /etc/uturn/uturn.toml
  uturn dns example.org >> /etc/bind/db.example.org    then raise the serial number of its SOA record

Exit codes:
  0  printed
  1  the configuration has errors
  2  wrong usage";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let file: &PathBuf = &arguments.config.config;
    match config::load(file) {
        Ok(loaded) => {
            show(&loaded.warnings);
            let host = match &arguments.host {
                Some(host) => host.clone(),
                None => format!("turn.{}", arguments.domain),
            };
            let zone = Zone {
                domain: &arguments.domain,
                host: &host,
                ttl: arguments.ttl.as_secs(),
            };
            print!("{}", zone.of(&Served::by(&loaded.checked)));
            FINE.into()
        }
        Err(report) => {
            refuse(file, &report, "");
            FAILED.into()
        }
    }
}

/// What the records are about.
struct Served {
    /// The ports of each transport that has any, in the order in which clients should try them.
    ports: Vec<(Service, Vec<u16>)>,
    /// Where clients reach the listeners.
    addresses: Vec<IpAddr>,
    /// The primary ports of NAT behaviour discovery, and whether they are of IPv4.
    discovery: Vec<(bool, u16)>,
}

impl Served {
    fn by(checked: &Checked) -> Self {
        let relay = &checked.relay;
        let origins = relay.turn.nat_discovery.iter();
        let origins: Vec<_> = origins.flat_map(|discovery| &discovery.origins).collect();
        let listeners = relay.net.listeners.iter().filter(|listener| {
            let is_udp = listener.transport == ListenerTransport::Udp;
            let mut origins = origins.iter();
            !(is_udp && origins.any(|origins| is_alternate(listener.address, origins)))
        });
        let listeners: Vec<_> = listeners.collect();
        let mut addresses: Vec<_> = listeners
            .iter()
            .filter_map(|listener| config::public(listener.address, &relay.net.relay_addresses))
            .collect();
        addresses.sort();
        addresses.dedup();
        let ports = SERVICES.into_iter().map(|service| {
            let of_service = listeners.iter().filter(|listener| {
                service.is_served_by(listener.transport) && listener.address.port() != 0
            });
            let ports = of_service.map(|listener| listener.address.port());
            (service, without_repetition(ports))
        });
        Self {
            ports: ports.filter(|(_, ports)| !ports.is_empty()).collect(),
            addresses,
            discovery: origins
                .iter()
                .map(|origins| (origins.addresses[0].is_ipv4(), origins.ports[0]))
                .collect(),
        }
    }
}

/// Whether a listener has but the other three addresses of NAT behaviour discovery, which the protocol tells.
fn is_alternate(listener: SocketAddr, origins: &Origins) -> bool {
    let (ip, port) = (listener.ip(), listener.port());
    let [primary, alternate] = origins.addresses;
    let is_any = ip.is_unspecified() && ip.is_ipv4() == primary.is_ipv4();
    let is_primary = (is_any || ip == primary) && port == origins.ports[0];
    (is_any || ip == primary || ip == alternate) && origins.ports.contains(&port) && !is_primary
}

/// How a transport is named in the DNS.
#[derive(Clone, Copy)]
struct Service {
    transport: ListenerTransport,
    /// For TURN (RFC 8656 §5, RFC 5928 §3),
    turn: &'static str,
    /// for STUN alone (RFC 8489 §8.1),
    stun: &'static str,
    /// and as an application protocol of the service RELAY (RFC 5928 §4).
    naptr: &'static str,
}

impl Service {
    /// A shared listener is told of as one for TLS, which is what gets through where nothing else does.
    fn is_served_by(&self, transport: ListenerTransport) -> bool {
        let own = transport == self.transport;
        own || transport == ListenerTransport::Shared && self.transport == ListenerTransport::Tls
    }
}

/// In the order of preference: what costs a client the least comes first.
const SERVICES: [Service; 4] = [
    Service {
        transport: ListenerTransport::Udp,
        turn: "_turn._udp",
        stun: "_stun._udp",
        naptr: "turn.udp",
    },
    Service {
        transport: ListenerTransport::Tcp,
        turn: "_turn._tcp",
        stun: "_stun._tcp",
        naptr: "turn.tcp",
    },
    Service {
        transport: ListenerTransport::Tls,
        turn: "_turns._tcp",
        stun: "_stuns._tcp",
        naptr: "turn.tls",
    },
    Service {
        transport: ListenerTransport::Dtls,
        turn: "_turns._udp",
        stun: "_stuns._udp",
        naptr: "turn.dtls",
    },
];

/// Where the records stand.
struct Zone<'a> {
    domain: &'a str,
    host: &'a str,
    /// In seconds.
    ttl: u64,
}

impl Zone<'_> {
    /// All records, in groups.
    fn of(&self, served: &Served) -> String {
        [
            self.addresses(served),
            self.turn(served),
            self.naptr(served),
            self.stun(served),
            self.discovery(served),
            self.dns_sd(served),
        ]
        .concat()
    }

    /// One record.
    fn line(&self, name: &str, typ: &str, data: &str) -> String {
        format!("{name}. {} IN {typ} {data}\n", self.ttl)
    }

    /// An SRV record for each port: clients try them in this order.
    fn srv(&self, label: &str, ports: &[u16]) -> String {
        let name = format!("{label}.{}", self.domain);
        let mut lines = String::new();
        for (priority, port) in ports.iter().enumerate() {
            lines += &self.line(&name, "SRV", &format!("{priority} 0 {port} {}.", self.host));
        }
        lines
    }

    fn addresses(&self, served: &Served) -> String {
        let mut text = format!("; The addresses of {}, for every client.\n", self.host);
        // Records of another domain's names are for that domain's zone.
        let within = self.host == self.domain || self.host.ends_with(&format!(".{}", self.domain));
        if !within {
            let _ = writeln!(text, "; They belong into the zone of {}:", self.host);
        }
        if served.addresses.is_empty() {
            text += "; The configuration does not say what they are.\n";
        }
        for address in &served.addresses {
            let typ = if address.is_ipv4() { "A" } else { "AAAA" };
            let line = self.line(self.host, typ, &address.to_string());
            let _ = write!(text, "{}{line}", if within { "" } else { "; " });
        }
        text
    }

    fn turn(&self, served: &Served) -> String {
        let mut text =
            "\n; TURN (RFC 8656 §5), for clients that know the domain and the transport.\n"
                .to_owned();
        for (service, ports) in &served.ports {
            text += &self.srv(service.turn, ports);
        }
        text
    }

    /// The flag says that an SRV record is next; a lower order is preferred.
    fn naptr(&self, served: &Served) -> String {
        let mut text = "\n; Which transport of TURN to try first (RFC 5928), for clients that know nothing but the domain.\n".to_owned();
        for (place, (service, _)) in served.ports.iter().enumerate() {
            let order = 100 + 10 * place;
            let Service { turn, naptr, .. } = service;
            let data = format!(
                "{order} 10 \"S\" \"RELAY:{naptr}\" \"\" {turn}.{}.",
                self.domain
            );
            text += &self.line(self.domain, "NAPTR", &data);
        }
        text
    }

    fn stun(&self, served: &Served) -> String {
        let mut text =
            "\n; STUN (RFC 8489 §8.1), for clients that want their address and no relay.\n"
                .to_owned();
        for (service, ports) in &served.ports {
            text += &self.srv(service.stun, ports);
        }
        text
    }

    /// RFC 5780 §5, §6: never for a server with one address.
    fn discovery(&self, served: &Served) -> String {
        if served.discovery.is_empty() {
            return String::new();
        }
        let mut text =
            "\n; NAT behaviour discovery (RFC 5780 §5), for clients that want to know their NAT.\n"
                .to_owned();
        let alone = |is_ipv4| {
            let mut families = served.discovery.iter().map(|(is, _)| *is);
            let has_both = served.addresses.iter().any(|ip| ip.is_ipv4() != is_ipv4);
            has_both && families.all(|is| is == is_ipv4)
        };
        for (is_ipv4, family) in [(true, "IPv4"), (false, "IPv6")] {
            if alone(is_ipv4) {
                let _ = writeln!(
                    text,
                    "; It needs two addresses, of which only {family} has them here."
                );
            }
        }
        let ports = without_repetition(served.discovery.iter().map(|(_, port)| *port));
        text + &self.srv("_stun-behavior._udp", &ports)
    }

    /// RFC 6763 §6.1: where there is nothing to say, a TXT record with one empty string.
    fn dns_sd(&self, served: &Served) -> String {
        let mut lines = String::new();
        for (service, ports) in &served.ports {
            let label = match service.transport {
                ListenerTransport::Udp => "_turnserver._udp",
                ListenerTransport::Tcp => "_turnserver._tcp",
                // The service has no name of its own within TLS and DTLS.
                ListenerTransport::Tls | ListenerTransport::Dtls | ListenerTransport::Shared => {
                    continue;
                }
            };
            let instance = format!("uturn.{label}");
            let name = format!("{label}.{}", self.domain);
            let target = format!("{instance}.{}", self.domain);
            lines += &self.line(&name, "PTR", &format!("{target}."));
            lines += &self.srv(&instance, &ports[..1]);
            lines += &self.line(&target, "TXT", "\"\"");
        }
        if lines.is_empty() {
            return lines;
        }
        let heading = "DNS service discovery (RFC 8155 §5), for clients that look for a TURN server of the network they are in.";
        format!("\n; {heading}\n{lines}")
    }
}

fn without_repetition(ports: impl Iterator<Item = u16>) -> Vec<u16> {
    let mut once = Vec::new();
    for port in ports {
        if !once.contains(&port) {
            once.push(port);
        }
    }
    once
}
