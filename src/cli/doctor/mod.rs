//! `uturn doctor`: what is wrong with this host and its configuration.

mod output;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::probe::{Progress, timeout};
use super::{BAD_CONFIGURATION, ConfigFile, FAILED, FINE, complain};
use crate::config;
use crate::doctor::{Subject, Wishes, examine, gather};
use crate::probe::{Target, Trust};

/// Find out what is wrong with this host and its configuration, and how to mend it
///
/// Looks at ports, certificates, addresses, limits, buffers, connection tracking, the clock, secrets and peer rules; probes
/// the servers that are named. Changes nothing. Works as an ordinary user, but root sees more.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,

    /// Servers to probe from here, with a credential of the configuration: a host or a URI, as for `uturn probe`
    #[arg(value_name = "SERVER", value_parser = Target::parse)]
    servers: Vec<Target>,

    /// Ask this STUN server how the relay addresses are seen from outside: HOST or HOST:PORT; otherwise nobody is asked
    #[arg(long, value_name = "HOST", value_parser = stun)]
    stun: Option<Target>,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,

    /// The local address to probe from
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,

    /// Judge certificates by this PEM file [default: by what the system trusts]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// How long an answer is waited for, such as 3s or 500ms
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = timeout)]
    timeout: Duration,
}

const HELP: &str = "\
Examples:
  sudo uturn doctor
  uturn doctor --config ./uturn.toml --stun stun.example.org
  uturn doctor turn.example.org        what its clients meet, from this host
  uturn doctor turns:turn.example.org:443 --json

Errors come first, then warnings, then advice, each with the commands or configuration lines
that mend it (any one of them will do). What is as it should be is one line at the end.

--json prints `fine`, `findings` (`id`, `severity`, `sentence`, `why`, `mend`, `evidence`) and
`not_looked_at` (`what`, `why`). Ids do not change from version to version:
docs/doctor.md lists them.

Exit codes:
  0  nothing is wrong; there may be advice
  1  something is wrong: there are errors or warnings
  2  wrong usage";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let file = &arguments.file.config;
    let loaded = config::load(file);
    let subject = loaded.as_ref().map(|loaded| Subject { file, loaded });
    let wishes = Wishes {
        stun: arguments.stun.clone(),
        probes: arguments.servers.clone(),
        trust: arguments.ca.clone().map_or(Trust::System, Trust::File),
        source: arguments.source,
        timeout: arguments.timeout,
    };
    if let Err(sentence) = is_family_of(&arguments.servers, arguments.source) {
        complain(&sentence);
        return BAD_CONFIGURATION.into();
    }
    let progress = Progress::new();
    let (facts, unseen) = gather(subject.as_ref().ok(), &wishes, &mut |what| {
        progress.show(what)
    });
    progress.clear();
    let diagnosis = examine(&facts, subject, unseen);
    if let Err(error) = output::print(&diagnosis, file, arguments.json) {
        complain(&format!("cannot write the findings: {error}"));
        return FAILED.into();
    }
    if diagnosis.fine {
        FINE.into()
    } else {
        FAILED.into()
    }
}

fn stun(text: &str) -> Result<Target, String> {
    match text.contains("stun:") || text.contains("stuns:") {
        true => Target::parse(text),
        false => Target::parse(&format!("stun:{text}")),
    }
}

fn is_family_of(servers: &[Target], source: Option<IpAddr>) -> Result<(), String> {
    for server in servers {
        if let (Ok(host), Some(source)) = (server.host.parse::<IpAddr>(), source)
            && host.is_ipv4() != source.is_ipv4()
        {
            return Err(format!(
                "--source {source} is not of the address family of {host}"
            ));
        }
    }
    Ok(())
}
