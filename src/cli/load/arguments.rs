//! What the command line says, checked.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::values::{duration, percent, rate, size};
use crate::auth::Secret;
use crate::config;
use crate::load::{
    Credential, Credentials, Form, Joining, MAX_CLIENTS, Plan, Rate, Stop, Target, Traffic, Trust,
};

/// Put load on a TURN server, and see what it takes
///
/// One thread plays many clients and the peers behind the relay. It sends through the server, this one or any other,
/// checks and times every packet that comes back, and tells what got through, how fast, and, where the server runs on
/// this machine, what it cost. Every combination of --traffic, --size and --rate is a run.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(in super::super) struct Arguments {
    /// The server: turn:HOST[:PORT][?transport=tcp], turns:HOST[:PORT], or stun:HOST[:PORT]
    #[arg(value_name = "URI", value_parser = Target::parse)]
    target: Target,

    #[command(flatten)]
    credential: CredentialSource,

    /// What is sent [default: echo; to a stun: server binding]
    #[arg(
        long,
        value_name = "KIND",
        value_delimiter = ',',
        help_heading = "Load"
    )]
    traffic: Vec<Kind>,

    /// Clients; each has an allocation
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=MAX_CLIENTS as i64), help_heading = "Load")]
    clients: u32,

    /// Payload in bytes, as the peer sees it
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_value = "160", value_parser = size, help_heading = "Load")]
    size: Vec<usize>,

    /// Packets per second by all clients together; `max`: as many as come back, --window at a time; `search`: the most
    /// that get through with no more than --max-loss
    #[arg(long, value_name = "RATE", value_delimiter = ',', default_value = "max", value_parser = rate, help_heading = "Load")]
    rate: Vec<Rate>,

    /// How long each run sends, such as 3s, 500ms or 2m
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration, help_heading = "Load")]
    duration: Duration,

    /// How often every run is repeated; medians are told at the end
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Load")]
    rounds: u32,

    /// Packets under way at the rate `max`, and requests under way while allocations are made
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Load")]
    window: u32,

    /// Percent of packets that the rate `search` lets be lost
    #[arg(long, value_name = "PERCENT", default_value_t = 0.1, value_parser = percent, help_heading = "Load")]
    max_loss: f64,

    /// Consecutive packets of one client, as video has them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Load")]
    train: u32,

    /// Use Send and Data indications, and no channels
    #[arg(long, help_heading = "Load")]
    send: bool,

    /// How long a storm lets its allocations live
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration, help_heading = "Load")]
    hold: Duration,

    /// How often a storm makes all allocations and releases them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Load")]
    churn: u32,

    /// Where the peers listen [default: the local address that leads to the server]
    #[arg(long, value_name = "IP", help_heading = "How")]
    peer_address: Option<IpAddr>,

    /// Let the kernel cut neighbouring packets of one flow that are sent as one (with --train)
    #[arg(long, help_heading = "How")]
    gso: bool,

    /// Let the kernel join packets that are received
    #[arg(long, help_heading = "How")]
    gro: bool,

    /// Leave the core to others when there is nothing to do, at the price of precision: else it polls
    #[arg(long, help_heading = "How")]
    sleep: bool,

    /// Accept any certificate (turns:)
    #[arg(long, conflicts_with = "ca", help_heading = "How")]
    insecure: bool,

    /// Accept certificates that this PEM file vouches for (turns:) [default: those that the system trusts]
    #[arg(long, value_name = "FILE", help_heading = "How")]
    ca: Option<PathBuf>,

    /// The server's process on this machine, to tell the CPU time of each packet; may be repeated
    #[arg(
        long,
        value_name = "PID",
        value_delimiter = ',',
        help_heading = "Results"
    )]
    pid: Vec<u32>,

    /// Write each result as a line of JSON; `-` is the standard output, then without the lines for people
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(super) json: Option<PathBuf>,
}

/// Where the credential comes from.
#[derive(clap::Args)]
#[command(next_help_heading = "Credential")]
struct CredentialSource {
    /// The user's name; with --secret-file what user ids begin with [default there: load]
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

    /// A file that holds the server's shared secret: each client becomes a user of its own
    #[arg(long, value_name = "FILE", group = "secret")]
    secret_file: Option<PathBuf>,
}

/// [`Traffic`] as it is written.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Kind {
    /// From clients to peers
    Up,
    /// From peers to clients
    Down,
    /// From clients to peers and back
    Echo,
    /// From client to client, through the allocations of both
    Pairs,
    /// A storm of allocations, each with a channel
    Allocate,
    /// Binding requests
    Binding,
}

const HELP: &str = "\
Examples:
  uturn load turn:127.0.0.1 --secret-file secret --pid $(pidof uturn)
  uturn load turn:turn.example.org --username me --password-file pw --rate 1000,5000
  uturn load turns:turn.example.org --secret-file secret --traffic up,down --size 160,1200
  uturn load turn:127.0.0.1 --secret-file secret --rate search     the most without loss
  uturn load turn:127.0.0.1 --secret-file secret --traffic allocate --clients 10000
  uturn load stun:127.0.0.1 --rate max --json results.json
  taskset -c 1 uturn load ...                 on a core that the server does not use

The server has to let its clients reach the peers, which listen on this machine: for uturn
by `allow` in [peers], for coturn by --allowed-peer-ip or --allow-loopback-peers. Quotas and
limits count for the load as for anybody. Put load only on what is yours.

On loopback each client has a source address of its own in 127.0.0.0/8; elsewhere all have
this machine's. A whole core is polled unless there is --sleep. The server's CPU time is by
the scheduler's clock, and an echo counts as two packets: on loopback it holds what the
receiver's kernel does, so compare servers with each other, not with a network card.

Exit codes:
  0  measured; warnings say which results are not to be trusted
  1  the server cannot be reached or refuses; what was measured before is shown
  2  wrong usage; nothing was sent";

impl Arguments {
    /// What is to be measured; the error is one sentence.
    pub(super) fn plan(&self) -> Result<Plan, String> {
        let traffic = self.traffic()?;
        if traffic.contains(&Traffic::Pairs) && !self.clients.is_multiple_of(2) {
            return Err(format!(
                "--traffic pairs needs an even number of --clients, not {}",
                self.clients
            ));
        }
        let credentials = match traffic.iter().any(|traffic| traffic.needs_credential()) {
            true => Some(self.credential.read()?),
            false => None,
        };
        let trust = match (&self.ca, self.insecure) {
            (Some(file), _) => Trust::File(file.clone()),
            (None, true) => Trust::Anyone,
            (None, false) => Trust::System,
        };
        if let Some(pid) = self.pid.iter().find(|pid| !is_process(**pid)) {
            return Err(format!(
                "there is no process {pid} on this machine: --pid takes those of the server"
            ));
        }
        Ok(Plan {
            target: self.target.clone(),
            credentials,
            traffic,
            sizes: self.size.clone(),
            rates: self.rate.clone(),
            clients: self.clients as usize,
            train: self.train as usize,
            joining: Joining {
                on_sending: self.gso,
                on_receiving: self.gro,
            },
            form: if self.send {
                Form::Indications
            } else {
                Form::Channels
            },
            duration: self.duration,
            rounds: self.rounds as usize,
            window: self.window as usize,
            max_loss: self.max_loss,
            hold: self.hold,
            churn: self.churn as usize,
            peer_address: self.peer_address,
            processes: self.pid.clone(),
            trust,
            sleep: self.sleep,
            stop: Stop::default(),
        })
    }

    fn traffic(&self) -> Result<Vec<Traffic>, String> {
        let traffic: Vec<_> = match (self.traffic.is_empty(), self.target.relays) {
            (true, true) => vec![Traffic::Echo],
            (true, false) => vec![Traffic::Binding],
            (false, _) => self.traffic.iter().map(|kind| kind.traffic()).collect(),
        };
        let relayed = traffic.iter().find(|traffic| traffic.needs_credential());
        match relayed {
            Some(traffic) if !self.target.relays => Err(format!(
                "--traffic {traffic} needs a relay: name it by a turn: URI, as stun: promises Binding alone"
            )),
            _ => Ok(traffic),
        }
    }
}

impl CredentialSource {
    fn read(&self) -> Result<Credentials, String> {
        if let Some(file) = &self.secret_file {
            let secret = config::secret_from_file(file)?;
            let user = self.username.clone().unwrap_or_else(|| "load".to_owned());
            return match user.len() {
                0..=MAX_USER => Ok(Credentials::Minted { secret, user }),
                _ => Err(format!("--username has more than {MAX_USER} bytes")),
            };
        }
        let password = match (&self.password_file, &self.password_env, &self.password) {
            (Some(file), _, _) => config::secret_from_file(file)?,
            (_, Some(name), _) => config::secret_from_variable(name)?,
            (_, _, Some(password)) => Secret::new(password.as_str()),
            (None, None, None) => {
                return Err(
                    "the server wants a credential: give --secret-file, or --username and --password-file"
                        .to_owned(),
                );
            }
        };
        match &self.username {
            Some(name) if (1..=config::MAX_USERNAME).contains(&name.len()) => {
                Ok(Credentials::One(Credential {
                    username: name.clone(),
                    password,
                }))
            }
            Some(_) => Err(format!(
                "--username has to have 1 to {} bytes",
                config::MAX_USERNAME
            )),
            None => Err("a password needs its --username".to_owned()),
        }
    }
}

impl Kind {
    fn traffic(self) -> Traffic {
        match self {
            Self::Up => Traffic::Up,
            Self::Down => Traffic::Down,
            Self::Echo => Traffic::Echo,
            Self::Pairs => Traffic::Pairs,
            Self::Allocate => Traffic::Allocate,
            Self::Binding => Traffic::Binding,
        }
    }
}

fn is_process(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}/task")).exists()
}

/// With an expiry before it and a number behind it, it still fits into a username.
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
        let line = std::iter::once("load").chain(line.split_whitespace());
        let command = Command::try_parse_from(line).map_err(|error| error.to_string())?;
        command.arguments.plan()
    }

    #[test]
    fn lists_become_runs() {
        let plan = plan(
            "turn:127.0.0.1 --username u --password p --traffic up,pairs --size 160,1200 --rate 20000,max,search --duration 0.5s",
        )
        .unwrap();
        assert_eq!(plan.traffic, [Traffic::Up, Traffic::Pairs]);
        assert_eq!(plan.sizes, [160, 1200]);
        assert_eq!(plan.rates, [Rate::Fixed(20_000.0), Rate::Max, Rate::Search]);
        assert_eq!(plan.duration, Duration::from_millis(500));
        assert_eq!(plan.form, Form::Channels);
    }

    #[test]
    fn the_scheme_decides_what_is_sent_unless_it_is_said() {
        let traffic = |line| plan(line).unwrap().traffic;
        assert_eq!(traffic("stun:a"), [Traffic::Binding]);
        assert_eq!(traffic("turn:a --username u --password p"), [Traffic::Echo]);
        assert_eq!(traffic("turn:a --traffic binding"), [Traffic::Binding]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_sentence() {
        for (line, why) in [
            ("turn:a", "the server wants a credential"),
            ("turn:a --password p", "needs its --username"),
            ("turn:a --username u", "the server wants a credential"),
            ("turn:a --password p --secret-file f", "cannot be used with"),
            ("turn:a --username u --password p --size 23", "24 to 65000"),
            (
                "turn:a --username u --password p --rate fast",
                "packets per second",
            ),
            (
                "turn:a --username u --password p --rate 0",
                "packets per second",
            ),
            (
                "turn:a --username u --password p --duration 3",
                "ms, s or m",
            ),
            ("turn:a --username u --password p --duration 0s", "between"),
            (
                "turn:a --username u --password p --clients 0",
                "0 is not in",
            ),
            (
                "turn:a --username u --password p --max-loss 100",
                "percentage",
            ),
            (
                "turn:a --username u --password p --clients 3 --traffic pairs",
                "even number",
            ),
            ("stun:a --traffic echo", "needs a relay"),
            ("http:a", "`http` is none of"),
            (
                "turn:a --traffic binding --pid 4194999",
                "no process 4194999",
            ),
            ("turn:a --secret-file /nowhere", "cannot read /nowhere"),
        ] {
            let error = plan(line).err().unwrap_or_default();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
