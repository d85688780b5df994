//! What the commands that ask a running server have in common: which server, and how what it says is shown.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use super::{BAD_CONFIGURATION, FAILED, complain, refuse};
pub(super) use crate::admin::text::printable;
use crate::admin::{Client, DEFAULT_SOCKET, Error, Remote};
use crate::config;
use crate::load::{Trust, tls::roots};

/// Which server is asked.
#[derive(clap::Args)]
#[command(next_help_heading = "Which server [default: the one at /run/uturn/admin.sock]")]
pub(super) struct Which {
    #[command(flatten)]
    place: Place,

    /// The configuration file of the server, which says where the socket is
    #[arg(long, value_name = "FILE", conflicts_with_all = ["socket", "url"])]
    config: Option<PathBuf>,
}

/// Where a running server is asked.
#[derive(clap::Args)]
pub(super) struct Place {
    /// The admin socket of a server on this host, such as /run/uturn/admin.sock
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    socket: Option<PathBuf>,

    /// A server elsewhere, as its [admin.tcp] has it: https://HOST:9642
    #[arg(long, value_name = "URL", value_parser = url, requires = "token_file")]
    url: Option<Url>,

    /// The file with its token
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,

    /// Certificates to believe instead of this system's (PEM)
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
}

#[derive(Clone)]
struct Url {
    host: String,
    port: u16,
}

fn url(text: &str) -> Result<Url, String> {
    let wrong = || "write https://HOST:PORT".to_owned();
    let rest = text.strip_prefix("https://").ok_or_else(wrong)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
        _ => (rest, 9642),
    };
    let is_address = host.starts_with('[') && host.ends_with(']');
    let is_odd = |c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c));
    if host.is_empty() || (!is_address && host.contains(is_odd)) {
        return Err(wrong());
    }
    let host = host.to_owned();
    Ok(Url { host, port })
}

impl Which {
    /// Who answers; the error has been said.
    pub(super) fn client(&self) -> Result<Client, u8> {
        if let Some(client) = self.place.client() {
            return client;
        }
        let socket = match &self.config {
            Some(file) => socket_of(file)?,
            None => DEFAULT_SOCKET.into(),
        };
        Ok(Client::open(socket))
    }
}

impl Place {
    /// Who answers, if one is named; the error has been said.
    pub(super) fn client(&self) -> Option<Result<Client, u8>> {
        if let (Some(url), Some(token)) = (&self.url, &self.token_file) {
            return Some(self.remote(url, token).map_err(|sentence| {
                complain(&sentence);
                BAD_CONFIGURATION
            }));
        }
        self.socket.clone().map(|socket| Ok(Client::open(socket)))
    }

    fn remote(&self, url: &Url, token: &Path) -> Result<Client, String> {
        let trust = self.ca.clone().map_or(Trust::System, Trust::File);
        let roots = roots(&trust).map_err(|error| error.to_string())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .with_root_certificates(roots.unwrap_or_else(rustls::RootCertStore::empty))
            .with_no_client_auth();
        let token = config::secret_from_file(token)?;
        if !token.expose().iter().all(u8::is_ascii_graphic) {
            return Err("the token has white space, or what is no ASCII, within".to_owned());
        }
        Ok(Client::remote(Remote {
            host: url.host.clone(),
            port: url.port,
            token,
            tls: Arc::new(tls),
        }))
    }
}

fn socket_of(file: &Path) -> Result<PathBuf, u8> {
    let loaded = config::load(file).map_err(|report| {
        refuse(file, &report, "; no server was asked");
        BAD_CONFIGURATION
    })?;
    loaded.checked.admin.socket.path().map_or_else(
        || {
            complain(&format!(
                "{} has socket = \"off\" in [admin]: remove that line, restart the server, and ask again",
                file.display()
            ));
            Err(BAD_CONFIGURATION)
        },
        |path| Ok(path.to_owned()),
    )
}

/// Says why there is no answer.
pub(super) fn failed(error: &Error) -> u8 {
    complain(&printable(&error.to_string()));
    FAILED
}

/// A text from elsewhere as a terminal may be given it, cut where it has more than `most` characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    let shown = printable(text);
    if shown.chars().count() <= most {
        return shown;
    }
    let mut cut: String = shown.chars().take(most - 1).collect();
    cut.push('…');
    cut
}

/// A duration in two units at most: `45s`, `12m30s`, `3h05m`, `2d04h`.
pub(super) fn show_seconds(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds)
        .unwrap_or_default()
        .as_secs();
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86_400);
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{minutes}m{:02}s", whole % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// Bytes in three digits and a unit: `0`, `999 B`, `1.2 kB`, `34.5 MB`.
pub(super) fn show_bytes(bytes: u64) -> String {
    let mut shown = bytes as f64;
    let mut unit = "B";
    for larger in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if shown < 999.95 {
            break;
        }
        shown /= 1000.0;
        unit = larger;
    }
    match (bytes, unit) {
        (0, _) => "0".to_owned(),
        (_, "B") => format!("{bytes} B"),
        _ => format!("{shown:.1} {unit}"),
    }
}

/// Lines of columns that are as wide as what is in them. Columns in `right` end at the same place.
pub(super) fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column| {
        let cells = rows.iter().filter_map(|row: &Vec<String>| row.get(column));
        cells
            .map(|cell: &String| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let width = widths[column];
            let _ = match right.contains(&column) {
                true => write!(line, "{gap}{cell:>width$}"),
                false => write!(line, "{gap}{cell:<width$}"),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_once_it_does_nothing() {
        assert!(!cut("a\x1b[2J", 6).contains(char::is_control));
        assert_eq!(cut("abcdefg", 6), "abcde…");
        assert_eq!(cut("abcdef", 6), "abcdef");
    }

    #[test]
    fn amounts_and_times_are_short() {
        for (bytes, shown) in [
            (0, "0"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (34_500_000, "34.5 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(show_bytes(bytes), shown);
        }
        for (seconds, shown) in [
            (0.4, "0s"),
            (59.9, "59s"),
            (750.0, "12m30s"),
            (11_100.0, "3h05m"),
            (187_200.0, "2d04h"),
            (-1.0, "0s"),
        ] {
            assert_eq!(show_seconds(seconds), shown);
        }
    }

    #[test]
    fn urls_have_a_host_and_perhaps_a_port() {
        for (text, host, port) in [
            ("https://turn.example.org", "turn.example.org", 9642),
            ("https://turn.example.org:1/", "turn.example.org", 1),
            ("https://[2001:db8::1]:443", "[2001:db8::1]", 443),
            ("https://[2001:db8::1]", "[2001:db8::1]", 9642),
        ] {
            let url = url(text).unwrap_or_else(|_| panic!("{text} is good"));
            assert_eq!((&*url.host, url.port), (host, port));
        }
        for text in [
            "http://turn.example.org",
            "https://",
            "https://a b",
            "https://a:b",
            "https://a/b",
            "https://a:99999",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
