//! `uturn sessions`: who has an allocation of a running server.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::ValueEnum;

use super::operator::{Which, cut, failed, printable, show_bytes, show_seconds, table};
use super::{FAILED, FINE, complain, count};
use crate::admin::model::{Filter, Session};
use crate::admin::text;

/// Show the sessions of a running server
///
/// A session is an allocation with its client and its peers. The server answers at its admin socket,
/// /run/uturn/admin.sock under systemd.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Show this session alone, with its permissions and channels
    #[arg(value_name = "ID", conflicts_with_all = ["user", "realm", "client", "sort"])]
    id: Option<u64>,

    /// Those of this user
    #[arg(long)]
    user: Option<String>,

    /// Those of this realm
    #[arg(long)]
    realm: Option<String>,

    /// Those of clients at this IP address
    #[arg(long, value_name = "IP")]
    client: Option<std::net::IpAddr>,

    /// What they are ordered by: the oldest, or the most, comes first
    #[arg(long, default_value = "id")]
    sort: Sort,

    /// As JSON, as the admin API has it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    which: Which,
}

#[derive(Clone, Copy, ValueEnum)]
enum Sort {
    Id,
    Age,
    Bytes,
    Drops,
    User,
    Client,
}

const HELP: &str = "\
Examples:
  uturn sessions
  uturn sessions --sort bytes          the busiest first
  uturn sessions --user alice --json
  uturn sessions 17                    one of them, with its permissions, channels and drops

Exit codes:
  0  shown
  1  the server cannot be asked, or has no such session
  2  wrong usage";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match show(arguments) {
        Ok(()) => FINE.into(),
        Err(code) => code.into(),
    }
}

fn show(arguments: &Arguments) -> Result<(), u8> {
    let client = arguments.which.client()?;
    let text = match arguments.id {
        Some(id) => {
            let session = client.session(id).map_err(|error| failed(&error))?;
            let session = session.ok_or_else(|| {
                complain(&format!(
                    "there is no session {id}: it has ended, or has never been"
                ));
                FAILED
            })?;
            match arguments.json {
                true => json(&session)?,
                false => one(&session),
            }
        }
        None => {
            let filter = Filter {
                user: arguments.user.clone(),
                realm: arguments.realm.clone(),
                client: arguments.client,
            };
            let mut sessions = client.sessions(&filter).map_err(|error| failed(&error))?;
            sort(&mut sessions, arguments.sort);
            match arguments.json {
                true => json(&sessions)?,
                false => all(&sessions),
            }
        }
    };
    print(&text)
}

/// Prints a text. A reader that has seen enough ends the program, and is no error.
pub(super) fn print(text: &str) -> Result<(), u8> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => FINE,
        _ => {
            complain(&format!("cannot write: {error}"));
            FAILED
        }
    })
}

fn json(shown: &impl serde::Serialize) -> Result<String, u8> {
    let text = text::pretty_json(shown).map_err(|error| {
        complain(&format!("cannot write JSON: {error}"));
        FAILED
    })?;
    Ok(text + "\n")
}

fn sort(sessions: &mut [Session], by: Sort) {
    use std::cmp::Reverse;
    // Those that are equal stay in the order in which they were opened.
    sessions.sort_by_key(|session| session.id);
    match by {
        Sort::Id => {}
        Sort::Age => sessions.sort_by(|a, b| b.age.total_cmp(&a.age)),
        Sort::Bytes => sessions.sort_by_key(|session| {
            Reverse(
                session
                    .to_peers
                    .bytes
                    .saturating_add(session.to_client.bytes),
            )
        }),
        Sort::Drops => sessions.sort_by_key(|session| Reverse(drops(session))),
        Sort::User => sessions.sort_by(|a, b| a.user.cmp(&b.user)),
        Sort::Client => sessions.sort_by_key(|session| session.client),
    }
}

fn drops(session: &Session) -> u64 {
    session
        .drops
        .values()
        .fold(0, |sum, count| sum.saturating_add(*count))
}

/// All of them, a line each.
fn all(sessions: &[Session]) -> String {
    if sessions.is_empty() {
        return "no sessions\n".to_owned();
    }
    let heads = [
        "ID",
        "USER",
        "CLIENT",
        "VIA",
        "RELAYED",
        "PEERS",
        "TO PEERS",
        "TO CLIENT",
        "AGE",
        "DROPS",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(sessions.iter().map(row));
    let numbers = [0, 5, 6, 7, 8, 9];
    format!(
        "{}{}\n",
        table(&rows, &numbers),
        count(sessions.len(), "session")
    )
}

fn row(session: &Session) -> Vec<String> {
    let relayed = match &session.relayed[..] {
        [] => "-".to_owned(),
        [only] => only.to_string(),
        [first, more @ ..] => format!("{first} +{}", more.len()),
    };
    let client = match session.connected {
        true => session.client.to_string(),
        false => format!("({})", session.client),
    };
    vec![
        session.id.to_string(),
        cut(&session.user, MAX_USER),
        client,
        cut(&session.transport, MAX_WORD),
        relayed,
        session.permission_count.to_string(),
        show_bytes(session.to_peers.bytes),
        show_bytes(session.to_client.bytes),
        show_seconds(session.age),
        drops(session).to_string(),
    ]
}

/// One of them, with everything that is known of it.
pub(super) fn one(session: &Session) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<13} {value}");
    };
    line("session", session.id.to_string());
    line("user", printable(&session.user));
    line("realm", printable(&session.realm));
    let state = match (session.connected, session.mobile) {
        (false, _) => ", away: its connection is lost, and it may come back",
        (true, true) => ", may move to another address",
        (true, false) => "",
    };
    let via = printable(&session.transport);
    line("client", format!("{} over {via}{state}", session.client));
    line("server", session.server.to_string());
    let relayed: Vec<_> = session.relayed.iter().map(ToString::to_string).collect();
    let protocol = printable(&session.protocol);
    line("relayed", format!("{} over {protocol}", relayed.join(", ")));
    line("age", show_seconds(session.age));
    let left = show_seconds(session.expires_in);
    line("ends in", format!("{left} unless it is refreshed"));
    for (name, amount) in [
        ("to peers", session.to_peers),
        ("to client", session.to_client),
    ] {
        let bytes = show_bytes(amount.bytes);
        line(
            name,
            format!("{bytes} in {}", count(amount.packets as usize, "packet")),
        );
    }
    let drops = session.drops.iter();
    let drops: Vec<_> = drops
        .map(|(reason, count)| format!("{count} {}", printable(reason).replace('_', " ")))
        .collect();
    line(
        "drops",
        match drops.is_empty() {
            true => "none".to_owned(),
            false => drops.join(", "),
        },
    );
    if session.peer_connections > 0 {
        line(
            "connections",
            format!("{} with peers", session.peer_connections),
        );
    }
    let inside = |inside: bool| if inside { "of this server" } else { "" };
    let permissions = session.permissions.iter().map(|permission| {
        let left = show_seconds(permission.expires_in);
        vec![
            "  ".to_owned() + &permission.peer.to_string(),
            format!("ends in {left}"),
            inside(permission.inside).to_owned(),
        ]
    });
    let channels = session.channels.iter().map(|channel| {
        let left = show_seconds(channel.expires_in);
        vec![
            format!("  {:#06x}", channel.number),
            channel.peer.to_string(),
            format!("ends in {left}"),
            inside(channel.inside).to_owned(),
        ]
    });
    let (permissions, channels) = (permissions.collect(), channels.collect());
    list(
        &mut out,
        "permission",
        session.permission_count,
        permissions,
    );
    list(&mut out, "channel", session.channel_count, channels);
    out
}

fn list(out: &mut String, noun: &str, total: u64, rows: Vec<Vec<String>>) {
    let _ = writeln!(out, "\n{}", count(total as usize, noun));
    out.push_str(&table(&rows, &[]));
    let listed = rows.len() as u64;
    if listed < total {
        let _ = writeln!(out, "  and {} more", total - listed);
    }
}

/// The longest user name of a line.
const MAX_USER: usize = 16;
/// The longest word that the server has for something.
const MAX_WORD: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::model::{Amount, Channel, Permission};

    fn session(id: u64, user: &str) -> Session {
        Session {
            id,
            realm: "example.org".to_owned(),
            user: user.to_owned(),
            transport: "udp".to_owned(),
            client: "203.0.113.255:65535".parse().unwrap(),
            server: "192.0.2.1:3478".parse().unwrap(),
            connected: true,
            mobile: false,
            relayed: vec!["198.51.100.255:65535".parse().unwrap()],
            protocol: "udp".to_owned(),
            permission_count: 2,
            permissions: vec![Permission {
                peer: "192.0.2.9".parse().unwrap(),
                expires_in: 250.0,
                inside: true,
            }],
            channel_count: 1,
            channels: vec![Channel {
                number: 0x4000,
                peer: "192.0.2.9:7".parse().unwrap(),
                expires_in: 550.0,
                inside: false,
            }],
            peer_connections: 0,
            age: 3725.0 + id as f64,
            expires_in: 599.0,
            to_peers: Amount {
                packets: 12,
                bytes: 1_234_567 * id,
            },
            to_client: Amount::default(),
            drops: [("no_permission".to_owned(), 3), ("bandwidth".to_owned(), 1)].into(),
        }
    }

    #[test]
    fn a_table_fits_a_terminal_and_says_nothing_to_it() {
        let evil = "\x1b]0;pwned\x07\x1b[2Jname\r\n";
        let shown = all(&[session(99_999, evil), session(2, "alice")]);
        assert!(
            !shown.replace('\n', "").chars().any(char::is_control),
            "{shown:?}"
        );
        assert_eq!(shown.lines().count(), 4, "{shown}");
        for line in shown.lines() {
            assert!(line.chars().count() <= 120, "{line}");
        }
        let shown = one(&session(7, evil));
        assert!(
            !shown.replace('\n', "").chars().any(char::is_control),
            "{shown:?}"
        );
        assert!(
            shown.contains("drops         1 bandwidth, 3 no permission\n"),
            "{shown}"
        );
        assert!(
            shown.contains(
                "\n2 permissions\n  192.0.2.9  ends in 4m10s  of this server\n  and 1 more\n"
            ),
            "{shown}"
        );
        assert!(
            shown.contains("\n1 channel\n  0x4000  192.0.2.9:7  ends in 9m10s\n"),
            "{shown}"
        );
    }

    #[test]
    fn sessions_are_ordered_as_it_is_asked() {
        let ids = |by| {
            let mut all = vec![session(3, "b"), session(1, "c"), session(2, "a")];
            sort(&mut all, by);
            all.iter().map(|session| session.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(Sort::Id), [1, 2, 3]);
        assert_eq!(ids(Sort::User), [2, 3, 1]);
        assert_eq!(ids(Sort::Bytes), [3, 2, 1]);
        assert_eq!(ids(Sort::Age), [3, 2, 1]);
        assert_eq!(ids(Sort::Drops), [1, 2, 3]);
    }
}
