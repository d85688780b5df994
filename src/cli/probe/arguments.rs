//! What the command line says, checked.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::auth::Secret;
use crate::config;
use crate::probe::{
    Credential, Credentials, MAX_PACKETS, MAX_RATE, MAX_SECONDS, Plan, Push, Target, Trust,
};

/// Find out how a TURN server can be reached, and what is wrong with it
///
/// Tries each transport to each address of the server, this one or any other: connection, TLS or DTLS, Binding, Allocate, and
/// packets through the relay and back. Tells what the NAT on the way does, and ends with a verdict in one sentence.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(in super::super) struct Arguments {
    /// The server: a host, to try every transport on its standard port; or a URI, turn:HOST[:PORT][?transport=tcp],
    /// turns:HOST[:PORT][?transport=udp] (UDP there is DTLS), stun:HOST[:PORT] or stuns:HOST[:PORT]
    #[arg(value_name = "SERVER", value_parser = Target::parse)]
    target: Target,

    #[command(flatten)]
    credential: CredentialSource,

    /// Print one JSON object on standard output, and no table
    #[arg(long, help_heading = "Results")]
    pub(super) json: bool,

    /// Packets that are sent through each relay and back
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=MAX_PACKETS as i64), help_heading = "How")]
    packets: u32,

    /// Also push through the first transport that relays, at this many bits per second: 500k, 5M, at most 100M
    #[arg(long, value_name = "RATE", value_parser = bits_per_second, help_heading = "How")]
    throughput: Option<u64>,

    /// For how many seconds it is pushed
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 5, requires = "throughput", value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS), help_heading = "How")]
    seconds: u64,

    /// How long an answer is waited for, such as 3s or 500ms
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = timeout, help_heading = "How")]
    timeout: Duration,

    /// The local address to send from
    #[arg(long, value_name = "IP", help_heading = "How")]
    source: Option<IpAddr>,

    /// Go on where the server's certificate does not verify
    #[arg(long, conflicts_with = "ca", help_heading = "How")]
    insecure: bool,

    /// Accept certificates that this PEM file vouches for [default: those that the system trusts]
    #[arg(long, value_name = "FILE", help_heading = "How")]
    ca: Option<PathBuf>,
}

/// Where the credential comes from.
#[derive(clap::Args)]
#[command(next_help_heading = "Credential")]
struct CredentialSource {
    /// The user's name; with a secret, what user ids begin with [default there: probe]
    #[arg(long, value_name = "NAME")]
    username: Option<String>,

    /// A file that holds the password; one newline at its end is ignored
    #[arg(long, value_name = "FILE", group = "secret")]
    password_file: Option<PathBuf>,

    /// The name of an environment variable that holds the password
    #[arg(long, value_name = "NAME", group = "secret")]
    password_env: Option<String>,

    /// The password itself: every user of this machine can see it
    #[arg(long, value_name = "PASSWORD", group = "secret")]
    password: Option<String>,

    /// A file that holds the server's shared secret
    #[arg(long, value_name = "FILE", group = "secret")]
    secret_file: Option<PathBuf>,

    /// The name of an environment variable that holds the server's shared secret
    #[arg(long, value_name = "NAME", group = "secret")]
    secret_env: Option<String>,
}

const HELP: &str = "\
Examples:
  uturn probe turn.example.org                       what answers, without a credential
  uturn probe turn.example.org --secret-file secret  every transport, through the relay
  uturn probe turn:turn.example.org?transport=udp --username me --password-file pw
  uturn probe turns:turn.example.org:443 --secret-file secret --json
  uturn probe turn.example.org --secret-file secret --throughput 5M --for 10

DTLS, which browsers do not use, is tried on a host as well, but nothing is missing without it.

Packets go from one allocation to a second one on the same server, or, where the server
denies that, to a socket of this host. Times are those of the way there and back. Whether
others can reach the relay is tried with a datagram from this host to the relayed address.

--json prints an object with `target`, `seconds`, `verdict` (`good`, `conclusion`,
`sentence`, `notes`), `lookup`, `attempts` (for each transport and address: `steps` with
`name`, `ms` and `trouble`, then `tls`, `mapped`, `relayed`, `relay`, `relay_range` and
more), `nat` (`mapping`, `filtering`, `hairpins`) and `throughput`. What is not known is
null. `conclusion` is one of works, answers, unknown-host, silent, refused, unreachable,
not-turn, certificate, tls, credential, code, udp-blocked, udp-closed, only-tls443, partly,
relay-address-private, relay-range-closed, peers-denied, relay-silent.

Exit codes:
  0  the verdict is good
  1  the verdict is bad: the sentence says what to change
  2  wrong usage; nothing was sent";

impl Arguments {
    /// What is to be done; the error is one sentence.
    pub(super) fn plan(&self) -> Result<Plan, String> {
        let host = &self.target.host;
        if let (Ok(host), Some(source)) = (host.parse::<IpAddr>(), self.source)
            && host.is_ipv4() != source.is_ipv4()
        {
            return Err(format!(
                "--source {source} is not of the address family of {host}"
            ));
        }
        Ok(Plan {
            target: self.target.clone(),
            credentials: self.credential.read()?,
            trust: match (&self.ca, self.insecure) {
                (Some(file), _) => Trust::File(file.clone()),
                (None, true) => Trust::Anyone,
                (None, false) => Trust::System,
            },
            source: self.source,
            timeout: self.timeout,
            packets: self.packets as usize,
            push: self.throughput.map(|bits_per_second| Push {
                bits_per_second,
                duration: Duration::from_secs(self.seconds),
            }),
        })
    }
}

impl CredentialSource {
    fn read(&self) -> Result<Option<Credentials>, String> {
        let secret = match (&self.secret_file, &self.secret_env) {
            (Some(file), _) => Some(config::secret_from_file(file)?),
            (None, Some(name)) => Some(config::secret_from_variable(name)?),
            (None, None) => None,
        };
        if let Some(secret) = secret {
            let user = self.username.clone().unwrap_or_else(|| "probe".to_owned());
            return match user.len() {
                1..=MAX_USER => Ok(Some(Credentials::Minted { secret, user })),
                _ => Err(format!("--username has to have 1 to {MAX_USER} bytes")),
            };
        }
        let password = match (&self.password_file, &self.password_env, &self.password) {
            (Some(file), _, _) => Some(config::secret_from_file(file)?),
            (_, Some(name), _) => Some(config::secret_from_variable(name)?),
            (_, _, Some(password)) => Some(Secret::new(password.as_str())),
            (None, None, None) => None,
        };
        match (&self.username, password) {
            (None, None) => Ok(None),
            (Some(name), Some(password)) if (1..=config::MAX_USERNAME).contains(&name.len()) => {
                Ok(Some(Credentials::One(Credential {
                    username: name.clone(),
                    password,
                })))
            }
            (Some(_), Some(_)) => Err(format!(
                "--username has to have 1 to {} bytes",
                config::MAX_USERNAME
            )),
            (Some(_), None) => Err(
                "--username needs its password: give --password-file, --password-env or --password"
                    .to_owned(),
            ),
            (None, Some(_)) => Err("a password needs its --username".to_owned()),
        }
    }
}

/// Reads `500k`, `5M` or a number.
fn bits_per_second(text: &str) -> Result<u64, String> {
    let (digits, scale) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1e3),
        None => match text.strip_suffix('M') {
            Some(digits) => (digits, 1e6),
            None => (text, 1.0),
        },
    };
    let rate = digits.parse().map_or(0.0, |number: f64| number * scale);
    if !(10_000.0..=MAX_RATE as f64).contains(&rate) {
        return Err("a throughput is 10k to 100M bits per second".to_owned());
    }
    Ok(rate as u64)
}

/// Reads how long to wait.
pub(in super::super) fn timeout(text: &str) -> Result<Duration, String> {
    let (number, scale) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').unwrap_or(""), 1.0),
    };
    let seconds = number.parse().map_or(0.0, |number: f64| number * scale);
    if !(0.05..=60.0).contains(&seconds) {
        return Err("a timeout is 50ms to 60s".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// As for `uturn load`: time and number come on top of it.
const MAX_USER: usize = config::MAX_USERNAME - 32;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn plan(line: &str) -> Result<Plan, String> {
        let line = std::iter::once("probe").chain(line.split_whitespace());
        let command = Command::try_parse_from(line).map_err(|error| error.to_string())?;
        command.arguments.plan()
    }

    #[test]
    fn what_is_said_is_planned() {
        let plan = plan("a --username u --password p --throughput 2.5M --for 2 --timeout 500ms");
        let plan = plan.unwrap();
        assert_eq!(plan.timeout, Duration::from_millis(500));
        let push = Push {
            bits_per_second: 2_500_000,
            duration: Duration::from_secs(2),
        };
        assert_eq!((plan.push, plan.packets), (Some(push), 50));
        assert!(plan.credentials.is_some());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_sentence() {
        for (line, why) in [
            ("", "SERVER"),
            ("http://a", "`http` is none of"),
            ("a --username u", "needs its password"),
            ("a --password p", "needs its --username"),
            ("a --password p --secret-env S", "cannot be used with"),
            ("a --secret-file /nowhere", "cannot read /nowhere"),
            ("a --throughput 200M", "10k to 100M"),
            ("a --throughput NaN", "10k to 100M"),
            ("a --for 3", "--throughput"),
            ("a --throughput 1M --for 61", "61 is not in"),
            ("a --timeout 3", "50ms to 60s"),
            ("a --packets 0", "0 is not in"),
            ("192.0.2.1 --source ::1", "address family"),
            ("a --insecure --ca f", "cannot be used with"),
        ] {
            let error = plan(line).err().unwrap_or_default();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
