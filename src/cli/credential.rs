//! `uturn credential`: makes one time-limited credential.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use super::{BAD_CONFIGURATION, FAILED, FINE, complain, refuse};
use crate::auth::{self, Secret, UnixTime};
use crate::config;

/// Make one time-limited credential
///
/// The username is the time of expiry with a user id behind it; the password is base64 of HMAC-SHA1 over the
/// username. coturn and every server with the same shared secret accept it too. Secrets come from a file, an
/// environment variable or the configuration, never from the command line, which other users can read.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,

    /// The user id that quotas count for and logs show
    #[arg(long, value_name = "ID")]
    user: Option<String>,

    /// How long it lasts: a number and a unit (s, m, h, d)
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = config::duration)]
    ttl: Duration,

    /// The realm of the configuration whose first shared secret signs [default: that of [auth]]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["secret_file", "secret_env"])]
    realm: Option<String>,

    /// What stands between expiry and user id [default: the configuration's, else ":"]
    #[arg(long, value_name = "CHARACTER", value_parser = config::separator)]
    separator: Option<char>,

    /// Print JSON: username, password, ttl (seconds), expires (seconds since 1970)
    #[arg(long)]
    json: bool,
}

/// Where the shared secret comes from.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// A file that holds the shared secret; one newline at its end is ignored
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// The name of an environment variable that holds the shared secret
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,

    /// A configuration file; its first shared secret signs
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const HELP: &str = "\
Examples:
  uturn credential --config /etc/uturn/uturn.toml --user alice
  uturn credential --secret-file /etc/uturn/secret --ttl 10m --json
  TURN_SECRET=... uturn credential --secret-env TURN_SECRET

Exit codes:
  0  printed
  1  the secret cannot be read
  2  wrong usage or a wrong configuration";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match signer(&arguments.source, arguments.realm.as_deref()) {
        Ok((secret, separator)) => {
            let separator = arguments.separator.unwrap_or(separator);
            match print(arguments, &secret, separator) {
                Ok(()) => FINE.into(),
                Err(sentence) => {
                    complain(&sentence);
                    BAD_CONFIGURATION.into()
                }
            }
        }
        Err(code) => code.into(),
    }
}

/// The secret that signs, and the separator that belongs to it.
fn signer(source: &Source, realm: Option<&str>) -> Result<(Secret, char), u8> {
    let fail = |sentence: String| {
        complain(&sentence);
        FAILED
    };
    if let Some(file) = &source.secret_file {
        return Ok((config::secret_from_file(file).map_err(fail)?, ':'));
    }
    if let Some(name) = &source.secret_env {
        return Ok((config::secret_from_variable(name).map_err(fail)?, ':'));
    }
    let file = source
        .config
        .as_deref()
        .unwrap_or(super::DEFAULT_FILE.as_ref());
    let loaded = config::load(file).map_err(|report| {
        refuse(file, &report, "");
        BAD_CONFIGURATION
    })?;
    let auth = super::auth_of(loaded.checked.relay, realm, file)?;
    let secret = auth.shared_secrets.into_iter().next().ok_or_else(|| {
        complain(&format!(
            "{} has no shared secret in {}, only users",
            file.display(),
            super::table_of(realm)
        ));
        BAD_CONFIGURATION
    })?;
    Ok((secret, auth.separator))
}

fn print(arguments: &Arguments, secret: &Secret, separator: char) -> Result<(), String> {
    let user = arguments.user.as_deref().filter(|user| !user.is_empty());
    let ttl = arguments.ttl;
    let minted = auth::mint(secret, separator, user, ttl, now());
    if minted.username.len() > config::MAX_USERNAME {
        return Err(format!(
            "this user id is too long: {} bytes fit into a username",
            config::MAX_USERNAME
        ));
    }
    if arguments.json {
        let json = serde_json::json!({
            "username": minted.username,
            "password": minted.password,
            "ttl": ttl.as_secs(),
            "expires": minted.expires.0,
        });
        println!("{json}");
    } else {
        println!("username  {}", minted.username);
        println!("password  {}", minted.password);
        println!("expires   in {}", config::show_duration(ttl));
    }
    Ok(())
}

/// The time on this host's clock.
pub(super) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime(since.unwrap_or_default().as_secs())
}
