//! `[admin]`: what an operator may ask a running server.

use std::path::PathBuf;

use super::certificate;
use super::problem::Problem;
use super::raw;
use super::secrets::{Source, Use};
use super::surroundings::Surroundings;
use super::value::{At, Reader, Text};
use crate::admin::{DEFAULT_SOCKET, Settings, Socket, TcpSettings};

/// Turns `[admin]` into settings; without that table, those of its defaults.
pub(super) fn check(table: &At<raw::Admin>, host: &Surroundings, reader: &mut Reader) -> Settings {
    let raw = &table.value;
    let socket = match &raw.socket.value {
        AdminSocket::Auto => Socket::Auto(DEFAULT_SOCKET.into()),
        AdminSocket::Off => Socket::Off,
        // Not `locate`: a credential of the service manager is no place for a socket.
        AdminSocket::Path(path) => Socket::At(host.directory.join(path)),
    };
    if (socket.path()).is_some_and(|path| path.as_os_str().len() > MAX_PATH) {
        let wrong = format!("the path of a socket has {MAX_PATH} bytes at most");
        reader.report(Problem::error(raw.socket.span.clone(), wrong).help("name a shorter one"));
    }
    Settings {
        socket,
        tcp: (raw.tcp.as_ref()).and_then(|tcp| check_tcp(tcp, host, reader)),
    }
}

/// Where the socket is.
#[derive(Clone)]
pub(super) enum AdminSocket {
    Auto,
    Off,
    Path(PathBuf),
}

impl Text for AdminSocket {
    const WANTED: &'static str =
        "\"auto\", \"off\", or the path of the socket, such as \"/run/uturn/admin.sock\"";

    fn parse(text: &str) -> Result<Self, String> {
        let text = String::parse(text)?;
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            // `Off` and `none` would be sockets that nobody meant.
            word if !word.contains(['/', '.']) => Err(format!(
                "`{word}` is neither \"auto\" nor \"off\" nor a path"
            )),
            _ => Ok(Self::Path(text.into())),
        }
    }
}

fn check_tcp(
    table: &At<raw::AdminTcp>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<TcpSettings> {
    let raw = &table.value;
    let is_flawed = reader.is_flawed(&table.span);
    if raw.listen.value.is_empty() && !is_flawed {
        let place = raw.listen.span.clone().or(table.span.clone());
        reader.report(
            Problem::error(place, "[admin.tcp] listens nowhere")
                .help("add listen = [\"10.0.0.5:9642\"], or remove [admin.tcp]"),
        );
    }
    if raw.token_file.is_none() && !is_flawed {
        reader.report(
            Problem::error(table.span.clone(), "[admin.tcp] has no `token_file`").help(
                "add token_file = \"FILE\" with 32 characters or more (openssl rand -base64 32)",
            ),
        );
    }
    let certificate = certificate::check_admin(table, host, reader);
    let token = (raw.token_file.clone())
        .and_then(|file| Source::File(file).read(Use::AdminToken, host, reader));
    Some(TcpSettings {
        listen: raw.listen.value.iter().map(|at| at.value).collect(),
        token: token?,
        certificate: certificate?,
    })
}

/// What a socket is bound to has 108 bytes, with the directory that it is made in.
const MAX_PATH: usize = 90;
