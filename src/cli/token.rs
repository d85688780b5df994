//! `uturn token`: makes one access token.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::credential::now;
use super::{BAD_CONFIGURATION, FAILED, FINE, complain, refuse};
use crate::auth::{AccessToken, AccessTokenCipher, Key, Secret, TokenKey, TokenTimestamp};
use crate::config;

/// Make one access token, as an authorization server would
///
/// For trying third-party authorization (RFC 7635): a client sends the key id as USERNAME and the token as ACCESS-TOKEN, and
/// signs with the MAC key. Keys come from a file, an environment variable or the configuration, never from the command
/// line, which other users can read.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,

    /// The key id (kid) [default: the configuration's first key that is used now]
    #[arg(long, value_name = "ID", required_unless_present = "config")]
    id: Option<String>,

    /// The realm of the configuration whose keys seal [default: that of [auth]]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["key_file", "key_env"])]
    realm: Option<String>,

    /// The server that the token is sealed for [default: the configuration's]
    #[arg(long, value_name = "NAME", required_unless_present = "config")]
    server_name: Option<String>,

    /// How long it lasts: a number and a unit (s, m, h, d)
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = lifetime)]
    ttl: Duration,

    /// Print JSON: username, mac_key, access_token, ttl (seconds), expires (seconds since 1970)
    #[arg(long)]
    json: bool,
}

/// Where the key comes from.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// A file that holds the key in base64; one newline at its end is ignored
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// The name of an environment variable that holds the key in base64
    #[arg(long, value_name = "NAME")]
    key_env: Option<String>,

    /// A configuration file with [[auth.token_keys]]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const HELP: &str = "\
Examples:
  uturn token --config /etc/uturn/uturn.toml
  uturn token --config /etc/uturn/uturn.toml --id 2027-01 --ttl 10m --json
  uturn token --key-file token.key --id 2027-01 --server-name turn.example.org

Exit codes:
  0  printed
  1  the key cannot be read
  2  wrong usage or a wrong configuration";

/// What a token is sealed with, and for whom.
struct Sealing {
    id: String,
    cipher: AccessTokenCipher,
    server_name: String,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match sealing(arguments) {
        Ok(sealing) => {
            print(arguments, &sealing);
            FINE.into()
        }
        Err(code) => code.into(),
    }
}

fn sealing(arguments: &Arguments) -> Result<Sealing, u8> {
    let source = &arguments.source;
    let key = match (&source.key_file, &source.key_env) {
        (Some(file), _) => config::secret_from_file(file),
        (None, Some(name)) => config::secret_from_variable(name),
        (None, None) => return configured(arguments),
    };
    let place = match &source.key_file {
        Some(file) => file.display().to_string(),
        None => source.key_env.clone().unwrap_or_default(),
    };
    let key = key.and_then(|text| {
        config::token_key(text.expose()).map_err(|_| {
            format!("{place} does not hold base64 of 16 or 32 bytes: openssl rand -base64 32")
        })
    });
    let key = key.map_err(|sentence| {
        complain(&sentence);
        FAILED
    })?;
    // clap has seen to it that both are there.
    let id = arguments.id.clone().unwrap_or_default();
    let server_name = arguments.server_name.clone().unwrap_or_default();
    if id.is_empty() || id.len() > config::MAX_USERNAME {
        complain(&format!("a key id has 1 to {} bytes", config::MAX_USERNAME));
        return Err(BAD_CONFIGURATION);
    }
    Ok(Sealing::new(id, &key, server_name))
}

fn configured(arguments: &Arguments) -> Result<Sealing, u8> {
    let file = arguments.source.config.as_deref();
    let file = file.unwrap_or(super::DEFAULT_FILE.as_ref());
    let loaded = config::load(file).map_err(|report| {
        refuse(file, &report, "");
        BAD_CONFIGURATION
    })?;
    let realm = arguments.realm.as_deref();
    let tokens = super::auth_of(loaded.checked.relay, realm, file)?.tokens;
    let now = now();
    let is_wanted = |key: &&TokenKey| match &arguments.id {
        Some(id) => key.id == *id,
        None => key.is_used_at(now),
    };
    let key = tokens.keys.iter().find(is_wanted).ok_or_else(|| {
        let lacks = match &arguments.id {
            Some(id) => format!("no token key `{id}`"),
            None => "no token key that is used now".to_owned(),
        };
        let table = super::table_of(realm);
        complain(&format!("{} has {lacks} in {table}", file.display()));
        BAD_CONFIGURATION
    })?;
    let server_name = arguments.server_name.clone().unwrap_or(tokens.server_name);
    Ok(Sealing::new(key.id.clone(), &key.key, server_name))
}

impl Sealing {
    fn new(id: String, key: &Secret, server_name: String) -> Self {
        Self {
            id,
            cipher: AccessTokenCipher::new(key).expect("the length has been checked"),
            server_name,
        }
    }
}

fn print(arguments: &Arguments, sealing: &Sealing) {
    let now = now();
    let seconds = arguments.ttl.as_secs();
    let mac_key: [u8; 20] = rand::random();
    let token = AccessToken {
        mac_key: Key::of_token(&mac_key).expect("20 bytes are a mac_key"),
        timestamp: TokenTimestamp::of(now),
        lifetime: u32::try_from(seconds).expect("the command line allows no more"),
    };
    let sealed = (sealing.cipher).seal(&token, &sealing.server_name, rand::random());
    let [mac_key, sealed] = [&mac_key[..], &sealed].map(|bytes| BASE64_STANDARD.encode(bytes));
    if arguments.json {
        let json = serde_json::json!({
            "username": sealing.id,
            "mac_key": mac_key,
            "access_token": sealed,
            "ttl": seconds,
            "expires": now.saturating_add(arguments.ttl).0,
        });
        println!("{json}");
    } else {
        println!("username      {}", sealing.id);
        println!("mac key       {mac_key}");
        println!("access token  {sealed}");
        println!("expires       in {}", config::show_duration(arguments.ttl));
    }
}

/// A token's lifetime has 32 bits.
fn lifetime(text: &str) -> Result<Duration, String> {
    let duration = config::duration(text)?;
    match u32::try_from(duration.as_secs()) {
        Ok(1..) => Ok(duration),
        Ok(0) => Err("a token lasts a second at the least".to_owned()),
        Err(_) => Err("a token lasts 4294967295 seconds at the most".to_owned()),
    }
}
