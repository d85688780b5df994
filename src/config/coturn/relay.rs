//! `[relay]`: where relayed addresses are taken from, and what peers see of them.

use std::net::IpAddr;

use super::findings::Findings;
use super::listen::addresses;
use super::options::{Given, Options};
use super::toml_text::{TomlText, list, quoted};

/// Turns the options of relayed addresses into [relay].
pub(super) fn convert(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    let external = External::read(options, findings);
    let relay_ips = addresses(options, "relay-ip", findings);
    // What is wrong with these has been said.
    let listening = addresses(options, "listening-ip", &mut Findings::default());
    let mut bound = specific(&relay_ips);
    let mut lines = options.lines(&["relay-ip"]);
    let mut is_written = !bound.is_empty();
    if relay_ips.is_empty() {
        let listening_specific = specific(&listening);
        bound = without_loopback(&listening_specific);
        is_written = bound != listening_specific || listening.iter().any(IpAddr::is_unspecified);
        is_written &= !bound.is_empty();
        lines = options.lines(&["listening-ip"]);
    }
    if bound.is_empty() && !external.pairs.is_empty() {
        bound = external.pairs.iter().map(|pair| pair.private).collect();
        bound.dedup();
        is_written = true;
        lines = options.lines(&["external-ip"]);
    }
    if is_written {
        toml.key("relay", &lines, "", "addresses", &list(&bound));
    }
    external.write(options, &bound, toml, findings);
    ports(options, toml, findings);
    tcp(options, toml);
}

fn specific(ips: &[IpAddr]) -> Vec<IpAddr> {
    let ips = ips.iter().filter(|ip| !ip.is_unspecified());
    ips.copied().collect()
}

/// Loopback is no address that a peer could send to, unless there is nothing else.
fn without_loopback(ips: &[IpAddr]) -> Vec<IpAddr> {
    let others: Vec<_> = ips.iter().filter(|ip| !ip.is_loopback()).copied().collect();
    if others.is_empty() {
        ips.to_vec()
    } else {
        others
    }
}

/// What stands before the host's addresses.
struct External {
    single: Vec<(usize, IpAddr)>,
    pairs: Vec<Pair>,
}

#[derive(Clone, Copy)]
struct Pair {
    line: usize,
    public: IpAddr,
    private: IpAddr,
}

impl External {
    fn read(options: &Options<'_>, findings: &mut Findings) -> Self {
        let mut found = Self {
            single: Vec::new(),
            pairs: Vec::new(),
        };
        for given in options.all("external-ip") {
            match parse(&given) {
                Ok((public, None)) => found.add_single(given.line, public, findings),
                Ok((public, Some(private))) => {
                    let line = given.line;
                    let known = |pair: &Pair| pair.private == private;
                    if found.pairs.iter().any(known) {
                        findings.error(line, "`external-ip` has this private address twice");
                    }
                    let pair = Pair {
                        line,
                        public,
                        private,
                    };
                    found.pairs.push(pair);
                }
                Err(wrong) => findings.error(given.line, wrong),
            }
        }
        found
    }

    fn add_single(&mut self, line: usize, public: IpAddr, findings: &mut Findings) {
        if let Some((first, _)) = self.single.first() {
            let wrong = format!(
                "coturn takes one `external-ip` without a private address, that of line {first}, and leaves this one \
                 out; uturn does the same"
            );
            findings.surprise(line, wrong);
        } else {
            self.single.push((line, public));
        }
    }

    fn write(
        &self,
        options: &Options<'_>,
        bound: &[IpAddr],
        toml: &mut TomlText,
        findings: &mut Findings,
    ) {
        let lines = options.lines(&["external-ip"]);
        let mut pairs: Vec<(IpAddr, IpAddr)> = Vec::new();
        for pair in &self.pairs {
            if bound.contains(&pair.private) {
                pairs.push((pair.private, pair.public));
            } else {
                findings.surprise(
                    pair.line,
                    "the private address of this `external-ip` is none that is relayed from: it had no effect, and is \
                     left out",
                );
            }
        }
        let Some((line, public)) = self.single.first().copied() else {
            if !pairs.is_empty() {
                toml.key("relay", &lines, "", "external", &inline_table(&pairs));
            }
            return;
        };
        let family = bound.iter().filter(|ip| ip.is_ipv4() == public.is_ipv4());
        let family: Vec<IpAddr> = family.filter(|ip| !ip.is_loopback()).copied().collect();
        if !bound.is_empty() && family.is_empty() {
            findings.surprise(
                line,
                "no address that is relayed from is of the family of this `external-ip`: it had no effect, and is left \
                 out",
            );
        } else if bound.len() <= 1 && pairs.is_empty() {
            toml.key("relay", &[line], "", "external", &list(&[public]));
            return;
        }
        let missing = family
            .iter()
            .filter(|ip| pairs.iter().all(|pair| pair.0 != **ip));
        let missing: Vec<_> = missing.map(|ip| (*ip, public)).collect();
        pairs.extend(missing);
        if !pairs.is_empty() {
            toml.key("relay", &lines, "", "external", &inline_table(&pairs));
        }
    }
}

/// What clients see instead of an address of this host.
pub(super) fn external_of(options: &Options<'_>, private: IpAddr) -> Option<IpAddr> {
    let all = options
        .all("external-ip")
        .filter_map(|given| parse(&given).ok());
    let mut pairs = all.filter_map(|(public, private)| Some((public, private?)));
    pairs.find(|pair| pair.1 == private).map(|pair| pair.0)
}

/// `PUBLIC`, or `PUBLIC/PRIVATE`.
fn parse(given: &Given<'_>) -> Result<(IpAddr, Option<IpAddr>), String> {
    let (public, private) = match given.value.split_once('/') {
        Some((public, private)) => (public, Some(private)),
        None => (given.value, None),
    };
    let address = |text: &str| {
        text.parse::<IpAddr>().map_err(|_| {
            "`external-ip` is no IP address: coturn looks a name up when it starts, uturn wants the address itself; \
             write it, and import again"
                .to_owned()
        })
    };
    let (public, private) = (address(public)?, private.map(address).transpose()?);
    if public.is_unspecified() || public.is_multicast() || public.is_loopback() {
        return Err("`external-ip` is no address that a peer could send to".to_owned());
    }
    let is_nowhere = |ip: IpAddr| ip.is_unspecified() || ip.is_multicast();
    if private.is_some_and(|ip| ip.is_ipv4() != public.is_ipv4() || is_nowhere(ip)) {
        return Err("`external-ip` needs two addresses of one family: PUBLIC/PRIVATE".to_owned());
    }
    Ok((public, private))
}

fn inline_table(pairs: &[(IpAddr, IpAddr)]) -> String {
    let shown = |(private, public): &(IpAddr, IpAddr)| {
        let [private, public] = [private, public].map(|ip| quoted(&ip.to_string()));
        format!("{private} = {public}")
    };
    let pairs: Vec<_> = pairs.iter().map(shown).collect();
    format!("{{ {} }}", pairs.join(", "))
}

fn ports(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    let first = options.port("min-port", 49152, findings);
    let last = options.port("max-port", 65535, findings);
    if first > last {
        let line = options.last("max-port").or(options.last("min-port"));
        let wrong = format!("`max-port` ({last}) is less than `min-port` ({first})");
        findings.error(line.map(|given| given.line), wrong);
    } else if (first, last) != (49152, 65535) {
        let lines = options.lines(&["min-port", "max-port"]);
        let range = quoted(&format!("{first}-{last}"));
        toml.key("relay", &lines, "", "ports", &range);
    }
}

/// coturn relays TCP unless it is told not to; no browser asks for it, and it reaches every TCP service there is.
fn tcp(options: &Options<'_>, toml: &mut TomlText) {
    let given = options.last("no-tcp-relay");
    let only_tcp = options.on("no-udp-relay");
    let wanted = given.filter(|given| !given.is_on()).map(|given| given.line);
    if let Some(line) = wanted.or(only_tcp) {
        let why = "TCP relaying (RFC 6062) was asked for.";
        toml.key("relay", &[line], why, "tcp", "true");
    } else if given.is_none() {
        toml.comment(
            "relay",
            "coturn relays TCP (RFC 6062) unless it is told not to. Browsers never ask for it, and it lets clients \
             connect to the TCP services of others, so it is off here. For clients that need it:",
        );
        toml.push("relay", "#tcp = true".to_owned());
    }
}
