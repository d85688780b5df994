//! `uturn explain`: why the server decides as it does.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Subcommand;
use serde::Serialize;

use super::{BAD_CONFIGURATION, ConfigFile, FAILED, FINE, complain, refuse};
use crate::admission::peer_filter::PeerFilter;
use crate::auth::{Authenticator, Secret, UnixTime};
use crate::config::{self, Loaded};
use crate::explain::{
    CodeExplanation, Deciders, PeerExplanation, RealmRules, UsernameExplanation, codes, peer,
    username,
};
use crate::turn::RelayedAddresses;

/// Explain a decision of the server: about a peer, a user name, or an error code
///
/// Asks the same rules as the relay, as the configuration has them, and says which one decides, where it stands and what
/// follows. Nothing is sent.
#[derive(clap::Args)]
#[command(after_help = HELP, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    topic: Topic,
}

#[derive(Subcommand)]
enum Topic {
    /// Whether clients may reach a peer, and by which rule
    Peer {
        /// The peer: an address, or an address and a port
        #[arg(value_name = "ADDRESS[:PORT]", value_parser = parse_peer)]
        peer: (IpAddr, Option<u16>),
        #[command(flatten)]
        common: Common,
    },
    /// What a user name is taken for, and whether it comes in
    Username {
        /// The name that the client sends
        #[arg(value_name = "NAME")]
        name: String,
        /// The password that the client has: every user of this machine can see it
        #[arg(long, value_name = "PASSWORD", conflicts_with = "password_file")]
        password: Option<String>,
        /// A file that holds the password; one newline at its end is ignored
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// At which time, as seconds since 1970 or 2027-01-31T00:00:00Z [default: now]
        #[arg(long, value_name = "TIME", value_parser = config::moment)]
        at: Option<UnixTime>,
        #[command(flatten)]
        common: Common,
    },
    /// What an error code of TURN means here, and what to do
    Code {
        /// A code such as 403, or a label of the log and the metrics such as peer_denied
        #[arg(value_name = "CODE")]
        code: String,
        /// Print JSON on standard output
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Common {
    #[command(flatten)]
    file: ConfigFile,
    /// The realm whose rules are asked [default: that of [auth]]
    #[arg(long, value_name = "NAME")]
    realm: Option<String>,
    /// Print JSON on standard output
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  uturn explain peer 10.0.0.5
  uturn explain peer [2002:a00:1::1]:5000 --realm example.org
  uturn explain username 1700000000:alice --password 'TtElzSjT0GdnTQ9xdcRNxx96yQs='
  uturn explain username alice --config ./uturn.toml --json
  uturn explain code 403
  uturn explain code peer_denied

Exit codes:
  0  explained; for a peer or a user: it is let through, or nothing is known against it
  1  the peer is denied, or the user is refused
  2  wrong usage, a wrong configuration, or no such code";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match explained(&arguments.topic) {
        Ok(code) => code.into(),
        Err(sentence) => {
            if let Some(sentence) = sentence {
                complain(&sentence);
            }
            BAD_CONFIGURATION.into()
        }
    }
}

/// The exit code; or what is wrong, unless it has been said.
fn explained(topic: &Topic) -> Result<u8, Option<String>> {
    match topic {
        Topic::Peer {
            peer: (address, port),
            common,
        } => {
            let loaded = load(common)?;
            let rules = rules_of(&loaded, common)?;
            let net = &loaded.checked.relay.net;
            let deciders = Deciders {
                filter: &PeerFilter::new(rules.peers),
                relayed: &RelayedAddresses::new(&net.relay_addresses, net.relay_ports.clone()),
                ports: &net.relay_ports,
            };
            let found = peer(&rules, &deciders, *address, *port);
            print(&found, common.json, of_peer);
            Ok(if found.reached { FINE } else { FAILED })
        }
        Topic::Username {
            name,
            password,
            password_file,
            at,
            common,
        } => {
            let password = match (password, password_file) {
                (Some(password), _) => Some(Secret::new(password.as_str())),
                (None, Some(file)) => Some(config::secret_from_file(file)?),
                (None, None) => None,
            };
            let loaded = load(common)?;
            let rules = rules_of(&loaded, common)?;
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now = at.unwrap_or(UnixTime(now.unwrap_or_default().as_secs()));
            let known = Authenticator::new(rules.auth.clone());
            let found = username(
                &rules,
                &known,
                name,
                password.as_ref().map(Secret::expose),
                now,
            );
            print(&found, common.json, of_username);
            Ok(if found.accepted == Some(false) {
                FAILED
            } else {
                FINE
            })
        }
        Topic::Code { code, json } => {
            let found = codes(code);
            if found.is_empty() {
                return Err(Some(format!(
                    "`{code}` is neither an error code of this server nor a label; codes are 300, 400, 401, 403, 405, \
                     420, 437, 438, 440, 441, 442, 443, 446, 447, 486, 500 and 508"
                )));
            }
            print(&found, *json, |found| found.iter().map(of_code).collect());
            Ok(FINE)
        }
    }
}

fn load(common: &Common) -> Result<Loaded, Option<String>> {
    config::load(&common.file.config).map_err(|report| {
        refuse(&common.file.config, &report, "; nothing can be explained");
        None
    })
}

fn rules_of<'a>(loaded: &'a Loaded, common: &Common) -> Result<RealmRules<'a>, Option<String>> {
    let relay = &loaded.checked.relay;
    let default = (&relay.auth, &relay.admission.peers, &relay.admission.quotas);
    let named = relay
        .realms
        .iter()
        .map(|realm| (&realm.auth, &realm.peers, &realm.quotas));
    let all = std::iter::once(default)
        .chain(named)
        .zip(&loaded.places.realms);
    let wanted = common.realm.as_ref().unwrap_or(&relay.auth.realm);
    let mut all = all.filter(|((auth, ..), _)| auth.realm == *wanted);
    let ((auth, peers, quotas), places) = all.next().ok_or_else(|| {
        Some(format!(
            "{} has no realm `{wanted}`",
            common.file.config.display()
        ))
    })?;
    Ok(RealmRules {
        auth,
        peers,
        quotas,
        places,
    })
}

fn parse_peer(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok((address, None));
    }
    let address = text.parse::<SocketAddr>().map_err(|_| {
        "write an IP address, or one with a port: 192.0.2.7, 192.0.2.7:5000, [2001:db8::7]:5000"
            .to_owned()
    })?;
    Ok((address.ip(), Some(address.port())))
}

fn print<T: Serialize>(found: &T, json: bool, text: impl Fn(&T) -> String) {
    if json {
        let shown = serde_json::to_string_pretty(found).expect("plain values are JSON");
        println!("{shown}");
    } else {
        print!("{}", text(found));
    }
}

fn of_peer(found: &PeerExplanation) -> String {
    let mut out = format!("{}\n", found.why);
    let mut row = |topic: &str, text: String| {
        let _ = writeln!(out, "  {topic:<8} {text}");
    };
    for carried in &found.carries {
        row(
            "carries",
            format!("{}, as {}", carried.address, carried.form),
        );
    }
    if let (Some(code), Some(label)) = (found.code, found.label) {
        row(
            "answer",
            format!("{code}; the log and the metrics call it {label}"),
        );
    }
    row("realm", found.realm.clone());
    for note in &found.notes {
        row("note", note.clone());
    }
    out
}

fn of_username(found: &UsernameExplanation) -> String {
    let mut out = format!("{}\n", found.why);
    let mut row = |topic: &str, text: String| {
        let _ = writeln!(out, "  {topic:<8} {text}");
    };
    row("kind", found.kind.to_owned());
    if let Some(place) = &found.place {
        row("from", place.clone());
    }
    if let Some(user) = &found.user_id {
        row("counts", format!("as the user `{user}`"));
    }
    if let Some(expires) = &found.expires {
        row(
            "ends",
            format!(
                "{} ({}; {} s since 1970)",
                expires.utc, expires.in_words, expires.unix
            ),
        );
    }
    if let (Some(code), Some(label)) = (found.code, found.label) {
        row(
            "answer",
            format!("{code}; the log and the metrics call it {label}"),
        );
    }
    for limit in &found.limits {
        row(
            "limit",
            format!("{} {} ({})", limit.value, limit.what, limit.place),
        );
    }
    for note in &found.notes {
        row("note", note.clone());
    }
    out
}

fn of_code(found: &CodeExplanation) -> String {
    let mut out = format!("{}\n", found.code);
    for reason in &found.reasons {
        let _ = writeln!(
            out,
            "\n  {} (log level {}; the client reads \"{}\")\n    client    {}\n    operator  {}",
            reason.label, reason.log_level, reason.phrase, reason.client, reason.operator
        );
    }
    out
}
