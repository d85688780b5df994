//! `uturn kick`: ends sessions of a running server.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;

use super::operator::{Which, failed, printable};
use super::sessions::print;
use super::{FAILED, FINE, complain, count};
use crate::admin::Client;
use crate::admin::model::Filter;

/// End sessions of a running server
///
/// Their clients hear nothing of it: whatever they send next is answered as if they had never had an allocation. A client whose
/// credential is still good may come back at once.
#[derive(clap::Args)]
#[command(after_help = HELP)]
#[command(group(clap::ArgGroup::new("whose").required(true).multiple(true).args(["ids", "user", "client", "realm"])))]
pub(super) struct Arguments {
    /// The sessions to end: `uturn sessions` shows their numbers
    #[arg(value_name = "ID", conflicts_with_all = ["user", "client", "realm"])]
    ids: Vec<u64>,

    /// All sessions of this user
    #[arg(long)]
    user: Option<String>,

    /// All sessions of clients at this IP address
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,

    /// All sessions of this realm; with --user or --client, those of them that are of this realm
    #[arg(long)]
    realm: Option<String>,

    #[command(flatten)]
    which: Which,
}

const HELP: &str = "\
Examples:
  uturn kick 17 18
  uturn kick --user alice
  uturn kick --client 203.0.113.7

Exit codes:
  0  ended
  1  the server cannot be asked, or there was no such session
  2  wrong usage";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let ended = arguments.which.client().and_then(|client| {
        if arguments.ids.is_empty() {
            end_all(&client, arguments)
        } else {
            end_each(&client, &arguments.ids)
        }
    });
    match ended {
        Ok(()) => FINE.into(),
        Err(code) => code.into(),
    }
}

fn end_each(client: &Client, ids: &[u64]) -> Result<(), u8> {
    let mut outcome = Ok(());
    for &id in ids {
        let session = client.session(id).map_err(|error| failed(&error))?;
        let ended = client.end(id).map_err(|error| failed(&error))?;
        match (ended, session) {
            (true, Some(session)) => {
                let (user, client) = (printable(&session.user), session.client);
                print(&format!("ended session {id}: {user} at {client}\n"))?;
            }
            (true, None) => print(&format!("ended session {id}\n"))?,
            (false, _) => {
                complain(&format!(
                    "there is no session {id}: it has ended, or has never been"
                ));
                outcome = Err(FAILED);
            }
        }
    }
    outcome
}

fn end_all(client: &Client, arguments: &Arguments) -> Result<(), u8> {
    let filter = Filter {
        user: arguments.user.clone(),
        realm: arguments.realm.clone(),
        client: arguments.client,
    };
    let ended = client.end_all(&filter).map_err(|error| failed(&error))?;
    let mut of = String::new();
    if let Some(user) = &filter.user {
        let _ = write!(of, " of {}", printable(user));
    }
    if let Some(client) = &filter.client {
        let _ = write!(of, " at {client}");
    }
    if let Some(realm) = &filter.realm {
        let _ = write!(of, " in {}", printable(realm));
    }
    if ended == 0 {
        complain(&format!("there is no session{of}"));
        return Err(FAILED);
    }
    print(&format!("ended {}{of}\n", count(ended as usize, "session")))
}
