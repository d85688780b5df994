//! `uturn explain`: why the server decides as it does.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Subcommand;
use serde::Serialize;

use super::operator::{Place, printable};
use super::{BAD_CONFIGURATION, DEFAULT_FILE, FAILED, FINE, complain, refuse};
use crate::admin::model::NameQuestion;
use crate::admin::{Client, Error, rules_of, text};
use crate::admission::peer_filter::{self, PeerFilter};
use crate::auth::{self, Authenticator, Secret, UnixTime};
use crate::config;
use crate::explain::{
    CodeExplanation, Deciders, PeerExplanation, RealmRules, UsernameExplanation, Users, codes,
    peer, peer_address, username,
};
use crate::net::Relay;
use crate::turn::RelayedAddresses;

/// Explain a decision of the server: about a peer, a user name, or an error code
///
/// Asks the same rules as the relay, as the configuration has them, and says which one decides, where it stands and what
/// follows. With --socket or --url a running server is asked, which knows what is open and used at this time, too.
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
        #[command(flatten)]
        server: Server,
    },
}

#[derive(clap::Args)]
struct Common {
    /// The configuration file (TOML), unless a server is asked [env: UTURN_CONFIG] [default: /etc/uturn/uturn.toml]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["socket", "url"])]
    config: Option<PathBuf>,
    /// The realm whose rules are asked [default: that of [auth]]
    #[arg(long, value_name = "NAME")]
    realm: Option<String>,
    /// Print JSON on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// A server that runs, to be asked by what it has read, whatever its file says by now.
#[derive(clap::Args)]
#[command(next_help_heading = "To ask a running server instead of reading a file")]
struct Server {
    #[command(flatten)]
    place: Place,
}

impl Common {
    /// The configuration file.
    fn file(&self) -> PathBuf {
        let named = self.config.clone();
        let named = named.or_else(|| std::env::var_os("UTURN_CONFIG").map(PathBuf::from));
        named.unwrap_or_else(|| DEFAULT_FILE.into())
    }
}

const HELP: &str = "\
Examples:
  uturn explain peer 10.0.0.5
  uturn explain peer [2002:a00:1::1]:5000 --realm example.org
  uturn explain username 1700000000:alice --password 'TtElzSjT0GdnTQ9xdcRNxx96yQs='
  uturn explain username alice --config ./uturn.toml --json
  uturn explain username alice --socket /run/uturn/admin.sock    how many allocations alice has, too
  uturn explain code 403
  uturn explain code peer_denied

Exit codes:
  0  explained; for a peer or a user: it is let through, or nothing is known against it
  1  the peer is denied, or the user is refused
  2  wrong usage, a wrong configuration, no such code, or no answer of the server";

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
        Topic::Peer { peer, common } => {
            let found = explain_peer(*peer, common)?;
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
            let question = NameQuestion {
                name: name.clone(),
                password,
                realm: common.realm.clone(),
                at: at.map(|at| at.0),
            };
            let found = explain_username(&question, common)?;
            print(&found, common.json, of_username);
            Ok(if found.accepted == Some(false) {
                FAILED
            } else {
                FINE
            })
        }
        Topic::Code { code, json, server } => {
            let found = match server.client()? {
                Some(client) => client.explain_code(code).map_err(no_answer)?,
                None => codes(code),
            };
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

fn explain_peer(
    (address, port): (IpAddr, Option<u16>),
    common: &Common,
) -> Result<PeerExplanation, Option<String>> {
    if let Some(client) = common.server.client()? {
        let wanted = match port {
            Some(port) => SocketAddr::new(address, port).to_string(),
            None => address.to_string(),
        };
        let realm = common.realm.as_deref();
        return client.explain_peer(&wanted, realm).map_err(no_answer);
    }
    let realm = load(common)?;
    let net = &realm.relay.net;
    let deciders = Deciders {
        filter: &PeerFilter::new(&realm.peers),
        relayed: &RelayedAddresses::new(&net.relay_addresses, net.relay_ports.clone()),
        ports: &net.relay_ports,
    };
    Ok(peer(&realm.rules, &deciders, address, port))
}

fn explain_username(
    question: &NameQuestion,
    common: &Common,
) -> Result<UsernameExplanation, Option<String>> {
    if let Some(client) = common.server.client()? {
        return client.explain_username(question).map_err(no_answer);
    }
    let realm = load(common)?;
    let users = Users {
        authenticator: &Authenticator::new(realm.auth),
        quotas: None,
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let at = question.at.unwrap_or(now.unwrap_or_default().as_secs());
    let password = question.password.as_ref().map(Secret::expose);
    let name = &question.name;
    Ok(username(&realm.rules, &users, name, password, UnixTime(at)))
}

fn no_answer(error: Error) -> Option<String> {
    Some(printable(&error.to_string()))
}

impl Server {
    /// Who is asked, if a server is; an error has been said.
    fn client(&self) -> Result<Option<Client>, Option<String>> {
        self.place.client().transpose().map_err(|_| None)
    }
}

/// A realm of a configuration file.
struct OfFile {
    relay: Relay,
    auth: auth::Settings,
    peers: peer_filter::Settings,
    rules: RealmRules,
}

fn load(common: &Common) -> Result<OfFile, Option<String>> {
    let file = common.file();
    let loaded = config::load(&file).map_err(|report| {
        refuse(&file, &report, "; nothing can be explained");
        None
    })?;
    let relay = loaded.checked.relay;
    let wanted = common.realm.as_ref().unwrap_or(&relay.auth.realm);
    let all = rules_of(&relay, &loaded.places.realms).into_iter();
    let mut all = all.enumerate();
    let found = all.find(|(_, rules)| rules.realm() == wanted);
    let (number, rules) =
        found.ok_or_else(|| Some(format!("{} has no realm `{wanted}`", file.display())))?;
    let (auth, peers) = match number.checked_sub(1).map(|number| &relay.realms[number]) {
        Some(realm) => (realm.auth.clone(), realm.peers.clone()),
        None => (relay.auth.clone(), relay.admission.peers.clone()),
    };
    Ok(OfFile {
        relay,
        auth,
        peers,
        rules,
    })
}

fn parse_peer(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    peer_address(text).ok_or_else(|| {
        "write an IP address, or one with a port: 192.0.2.7, 192.0.2.7:5000, [2001:db8::7]:5000"
            .to_owned()
    })
}

fn print<T: Serialize>(found: &T, json: bool, shown: impl Fn(&T) -> String) {
    // Names are whatever clients have chosen, and a server elsewhere says what it likes.
    if json {
        let shown = text::pretty_json(found).expect("plain values are JSON");
        println!("{shown}");
    } else {
        for line in shown(found).lines() {
            println!("{}", printable(line));
        }
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
    if let (Some(code), Some(label)) = (found.code, &found.label) {
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
    row("kind", found.kind.to_string());
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
    if let (Some(code), Some(label)) = (found.code, &found.label) {
        row(
            "answer",
            format!("{code}; the log and the metrics call it {label}"),
        );
    }
    for limit in &found.limits {
        row(
            "limit",
            match (limit.used, limit.place.as_str()) {
                (None, "") => format!("{} {}", limit.value, limit.what),
                (None, place) => format!("{} {} ({place})", limit.value, limit.what),
                (Some(used), "") => format!("{used} of {} {}", limit.value, limit.what),
                (Some(used), place) => {
                    format!("{used} of {} {} ({place})", limit.value, limit.what)
                }
            },
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
