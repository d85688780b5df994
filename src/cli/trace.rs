//! `uturn trace`: follows one session of a running server.

use std::process::ExitCode;

use super::operator::{Which, failed, printable, show_seconds};
use super::sessions::print;
use super::{FAILED, FINE, complain, count};
use crate::admin::model::TraceLine;
use crate::admin::text;

/// Follow one session of a running server
///
/// Shows its requests and what came of them, the first ten packets each way with each peer, what ICMP says of
/// them, and what is not relayed, until the
/// session ends or Ctrl-C. No contents of packets are shown.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// The session: `uturn sessions` shows its number
    #[arg(value_name = "ID")]
    id: u64,

    /// As lines of JSON, as the admin API has them
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    which: Which,
}

const HELP: &str = "\
Each line begins with the seconds since the trace began.

Examples:
  uturn trace 17
  uturn trace 17 --json | jq -c 'select(.kind == \"dropped\")'

Exit codes:
  0  the session has ended
  1  the server cannot be asked, has no such session, or has stopped
  2  wrong usage";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match follow(arguments) {
        Ok(()) => FINE.into(),
        Err(code) => code.into(),
    }
}

fn follow(arguments: &Arguments) -> Result<(), u8> {
    let id = arguments.id;
    let client = arguments.which.client()?;
    let lines = client.follow(id).map_err(|error| failed(&error))?;
    let lines = lines.ok_or_else(|| {
        complain(&format!(
            "there is no session {id}: it has ended, or has never been"
        ));
        FAILED
    })?;
    for line in lines {
        let line = line.map_err(|error| failed(&error))?;
        let text = match arguments.json {
            true => text::json(&line).unwrap_or_default(),
            false => show(&line),
        };
        print(&(text + "\n"))?;
        if matches!(line, TraceLine::Ended { .. }) {
            return Ok(());
        }
    }
    complain(&format!("the server no longer tells of session {id}"));
    Err(FAILED)
}

/// A line for people.
fn show(line: &TraceLine) -> String {
    let (at, text) = match line {
        TraceLine::Began { at, session } => {
            let via = printable(&session.transport);
            let user = printable(&session.user);
            let (client, id) = (session.client, session.id);
            let left = show_seconds(session.expires_in);
            (
                at,
                format!("session {id}: {user} at {client} over {via}, ends in {left}"),
            )
        }
        TraceLine::Request {
            at,
            method,
            outcome,
            code,
            reason,
            lifetime,
            peers,
            channel,
        } => {
            let mut text = format!("request  {}", words(method));
            if let Some(channel) = channel {
                text += &format!(" {channel:#06x}");
            }
            for peer in peers {
                text += &format!(" {peer}");
            }
            text += &match (&outcome[..], code, reason) {
                ("refused", Some(code), Some(reason)) => {
                    format!(": refused with {code}, {}", words(reason))
                }
                (outcome, ..) => format!(": {}", words(outcome)),
            };
            if let Some(lifetime) = lifetime {
                text += &match *lifetime > 0.0 {
                    true => format!(", ends in {}", show_seconds(*lifetime)),
                    false => ", which ends it".to_owned(),
                };
            }
            (at, text)
        }
        TraceLine::Packet {
            at,
            direction,
            peer,
            length,
            channel,
        } => {
            let by = match channel {
                Some(channel) => format!("channel {channel:#06x}"),
                None => "an indication".to_owned(),
            };
            let length = count(*length as usize, "byte");
            (
                at,
                format!("packet   {} {peer}: {length} by {by}", way(direction)),
            )
        }
        TraceLine::Icmp {
            at,
            peer,
            r#type,
            code,
        } => {
            let says = icmp(peer.is_ipv6(), *r#type, *code);
            (at, format!("icmp     about {peer}: {says}"))
        }
        TraceLine::Dropped {
            at,
            direction,
            reason,
            peer,
        } => {
            let peer = peer.map_or_else(String::new, |peer| format!(" {peer}"));
            (
                at,
                format!("dropped  {}{peer}: {}", way(direction), words(reason)),
            )
        }
        TraceLine::Skipped { at, lines } => {
            let lines = count(*lines as usize, "line");
            (at, format!("         {lines} left out: too many at once"))
        }
        TraceLine::Ended { at, reason } => (at, format!("ended    {}", words(reason))),
    };
    format!("{at:>9.3}  {text}")
}

/// What an ICMP error says; the usual ones in words.
fn icmp(v6: bool, typ: u8, code: u8) -> String {
    let words = match (v6, typ, code) {
        (false, 3, 0) => "no route to its network",
        (false, 3, 1) | (true, 1, 0 | 3) => "no route to it",
        (false, 3, 3) | (true, 1, 4) => "nobody listens at its port",
        (false, 3, 4) | (true, 2, _) => "too large for the path",
        (false, 3, 9 | 10 | 13) | (true, 1, 1) => "a firewall forbids it",
        (false, 11, _) | (true, 3, _) => "too many hops",
        _ => return format!("type {typ}, code {code}"),
    };
    words.to_owned()
}

fn way(direction: &str) -> &'static str {
    match direction {
        "to_peer" => "to",
        _ => "from",
    }
}

fn words(label: &str) -> String {
    printable(label).replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_happened_and_nothing_to_the_terminal() {
        let peer = "192.0.2.9:7".parse().unwrap();
        let request = |outcome: &str, code, reason: Option<&str>| TraceLine::Request {
            at: 1.25,
            method: "channel_bind".to_owned(),
            outcome: outcome.to_owned(),
            code,
            reason: reason.map(str::to_owned),
            lifetime: None,
            peers: vec![peer],
            channel: Some(0x4000),
        };
        for (line, shown) in [
            (
                request("success", None, None),
                "    1.250  request  channel bind 0x4000 192.0.2.9:7: success",
            ),
            (
                request("refused", Some(403), Some("peer_denied")),
                "    1.250  request  channel bind 0x4000 192.0.2.9:7: refused with 403, peer denied",
            ),
            (
                TraceLine::Packet {
                    at: 61.0,
                    direction: "to_client".to_owned(),
                    peer,
                    length: 1,
                    channel: None,
                },
                "   61.000  packet   from 192.0.2.9:7: 1 byte by an indication",
            ),
            (
                TraceLine::Icmp {
                    at: 10.0,
                    peer,
                    r#type: 3,
                    code: 3,
                },
                "   10.000  icmp     about 192.0.2.9:7: nobody listens at its port",
            ),
            (
                TraceLine::Ended {
                    at: 0.0,
                    reason: "\x1b[2J".to_owned(),
                },
                "    0.000  ended    \\u{1b}[2J",
            ),
        ] {
            assert_eq!(show(&line), shown);
        }
    }
}
