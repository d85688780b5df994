//! `uturn import-coturn`: a configuration out of coturn's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zeroize::Zeroizing;

use super::{BAD_CONFIGURATION, FAILED, FINE, complain};
use crate::config;

/// Make a configuration out of coturn's turnserver.conf
///
/// Writes a commented configuration, and a report to standard error: what the old file left open, what there is
/// to decide, and what has become of each line. Secrets stand in the configuration and not in the report.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// coturn's configuration file
    #[arg(value_name = "FILE", default_value = "/etc/turnserver.conf")]
    file: PathBuf,

    /// Write the configuration to this file, for its owner alone, and not to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Overwrite the file that is there
    #[arg(long, requires = "output")]
    force: bool,
}

const HELP: &str = "\
Examples:
  uturn import-coturn /etc/turnserver.conf                      look at what comes out
  uturn import-coturn /etc/turnserver.conf --output uturn.toml
  uturn check uturn.toml

Exit codes:
  0  written; there may be decisions to take
  1  the old file has errors, or a file cannot be read or written; nothing was written
  2  wrong usage, such as an --output that is there already";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match import(arguments) {
        Ok(code) => code.into(),
        Err(sentence) => {
            complain(&sentence);
            FAILED.into()
        }
    }
}

fn import(arguments: &Arguments) -> Result<u8, String> {
    let (file, name) = (&arguments.file, arguments.file.display());
    let output = arguments.output.as_deref();
    if let Some(there) = output.filter(|output| fs::symlink_metadata(output).is_ok())
        && !arguments.force
    {
        let there = there.display();
        complain(&format!("{there} is there already: --force overwrites it"));
        return Ok(BAD_CONFIGURATION);
    }
    let (bytes, is_world_readable) =
        read(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    let text = str::from_utf8(&bytes).map_err(|error| {
        let before = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n');
        let line = before.count();
        format!("line {line} of {name} is not UTF-8: save the file as UTF-8, and import again")
    })?;
    let imported = config::import_coturn(&name.to_string(), text, is_world_readable);
    eprint!("{}", imported.report);
    let Some(toml) = imported.toml.map(Zeroizing::new) else {
        eprintln!();
        complain(&format!(
            "{name} is not imported: mend the errors above, and import again"
        ));
        return Ok(FAILED);
    };
    match output {
        None => print(&toml).map_err(|error| format!("cannot write: {error}"))?,
        Some(output) => write(output, &toml, arguments.force)
            .map_err(|error| format!("cannot write {}: {error}", output.display()))?,
    }
    eprintln!();
    say_what_is_missing(&imported.certificate_files, output);
    let next = output.unwrap_or(Path::new("uturn.toml"));
    eprintln!("Next: uturn check {}", next.display());
    Ok(FINE)
}

/// The file, and whether every user of this host can read it.
fn read(path: &Path) -> io::Result<(Zeroizing<Vec<u8>>, bool)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok((bytes, mode & 0o004 != 0))
}

fn print(toml: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(toml.as_bytes())?;
    out.flush()
}

/// Writes a file that nobody else can read, and that was not there, unless it may be overwritten.
fn write(file: &Path, toml: &str, force: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut out = options.open(file)?;
    // One that was there may have been open to others.
    out.set_permissions(fs::Permissions::from_mode(0o600))?;
    out.write_all(toml.as_bytes())?;
    out.sync_all()
}

/// Certificates are often made on the host that is to serve, which need not be this one.
fn say_what_is_missing(files: &[String], output: Option<&Path>) {
    let beside = output.and_then(Path::parent).unwrap_or(Path::new(""));
    let missing = |file: &&String| File::open(beside.join(file)).is_err();
    for file in files.iter().filter(missing) {
        eprintln!(
            "{file} cannot be read here: `uturn check` refuses the configuration until it is there, and readable for \
             the user that uturn runs as"
        );
    }
}

const MAX_FILE: u64 = 1 << 20;
