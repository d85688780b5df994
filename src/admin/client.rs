//! The other end of the admin API: asks a server over its socket, or over the network.
//!
//! Every question has a connection of its own, and waits for its answer.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::model::{Ended, Filter, NameQuestion, Problem, Server, Session, Sessions, TraceLine};
use crate::auth::Secret;
use crate::explain::{CodeExplanation, PeerExplanation, UsernameExplanation};

/// A server that can be asked.
#[derive(Clone)]
pub struct Client(Way);

#[derive(Clone)]
enum Way {
    Socket(PathBuf),
    Remote(Arc<Remote>),
}

/// A server elsewhere.
pub struct Remote {
    /// Its host: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it is shown.
    pub token: Secret,
    /// Whose certificates are believed.
    pub tls: Arc<ClientConfig>,
}

/// Why there is no answer: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// It has refused.
    #[error("the server refuses with {status}: {detail}")]
    Refused {
        /// Its status.
        status: u16,
        /// Its sentence.
        detail: String,
    },
    /// It does not speak as an admin API does.
    #[error("the server's answer is not that of an admin API: {0}")]
    Strange(String),
}

/// A connection, whatever it goes through.
trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

impl Client {
    /// A server on this host, by its socket. The first question finds out whether it is there.
    pub fn open(socket: impl Into<PathBuf>) -> Self {
        Self(Way::Socket(socket.into()))
    }

    /// A server elsewhere.
    pub fn remote(remote: Remote) -> Self {
        Self(Way::Remote(Arc::new(remote)))
    }

    /// The server as a whole.
    pub fn server(&self) -> Result<Server, Error> {
        self.get("/v1/server")
    }

    /// All sessions that `filter` is true of: it follows the pages. What begins or ends meanwhile may be missing.
    pub fn sessions(&self, filter: &Filter) -> Result<Vec<Session>, Error> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.page(filter, cursor.as_deref(), None)?;
            all.extend(page.sessions);
            match page.next {
                // The server's cursors only go forward; one that stands still would be asked for ever.
                next @ Some(_) if next != cursor => cursor = next,
                Some(_) => return Err(Error::Strange("a page follows itself".to_owned())),
                None => return Ok(all),
            }
        }
    }

    /// One page of them: up to `limit`, from where the last page's `next` says.
    pub fn page(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Sessions, Error> {
        let limit = limit.map(|limit| limit.to_string());
        let client = filter.client.map(|client| client.to_string());
        let parameters = [
            ("limit", limit.as_deref()),
            ("cursor", cursor),
            ("user", filter.user.as_deref()),
            ("realm", filter.realm.as_deref()),
            ("client", client.as_deref()),
        ];
        let mut path = "/v1/sessions".to_owned();
        let given = parameters
            .iter()
            .filter_map(|(name, value)| Some((name, (*value)?)));
        for (at, (name, value)) in given.enumerate() {
            let mark = if at == 0 { '?' } else { '&' };
            let _ = write!(path, "{mark}{name}={}", encoded(value));
        }
        self.get(&path)
    }

    /// The session of this number, if there is one.
    pub fn session(&self, id: u64) -> Result<Option<Session>, Error> {
        found(self.get(&format!("/v1/sessions/{id}")))
    }

    /// Ends the session of this number; whether there was one.
    pub fn end(&self, id: u64) -> Result<bool, Error> {
        let ended = self.ask("DELETE", &format!("/v1/sessions/{id}"), "");
        Ok(found(ended)?.is_some())
    }

    /// Ends all sessions that `filter` is true of; how many there were.
    pub fn end_all(&self, filter: &Filter) -> Result<u64, Error> {
        let filter = serde_json::to_string(filter).map_err(strange)?;
        let answer = self.ask("POST", "/v1/sessions/end", &filter)?;
        let ended: Ended = serde_json::from_slice(&answer).map_err(strange)?;
        Ok(ended.ended)
    }

    /// Why clients may reach a peer (an address, perhaps with a port), or may not.
    pub fn explain_peer(
        &self,
        address: &str,
        realm: Option<&str>,
    ) -> Result<PeerExplanation, Error> {
        let realm = realm.map_or(String::new(), |realm| format!("&realm={}", encoded(realm)));
        self.get(&format!(
            "/v1/explain/peer?address={}{realm}",
            encoded(address)
        ))
    }

    /// What a user's name is taken for, and whether it comes in.
    pub fn explain_username(&self, question: &NameQuestion) -> Result<UsernameExplanation, Error> {
        let question = serde_json::to_string(question)
            .map(Zeroizing::new)
            .map_err(|error| Error::Unreachable(error.to_string()))?;
        let answer = self.ask("POST", "/v1/explain/username", &question)?;
        serde_json::from_slice(&answer).map_err(strange)
    }

    /// What an error code or a label means.
    pub fn explain_code(&self, code: &str) -> Result<Vec<CodeExplanation>, Error> {
        self.get(&format!("/v1/explain/code?code={}", encoded(code)))
    }

    /// The metrics, as Prometheus reads them.
    pub fn metrics(&self) -> Result<String, Error> {
        let text = self.ask("GET", "/v1/metrics", "")?;
        String::from_utf8(text).map_err(strange)
    }

    /// Any other page that answers in JSON.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let answer = self.ask("GET", path, "")?;
        serde_json::from_slice(&answer).map_err(strange)
    }

    /// Follows the session of this number, if there is one.
    pub fn follow(&self, id: u64) -> Result<Option<Following>, Error> {
        let path = format!("/v1/sessions/{id}/trace");
        // An empty line comes every ten seconds.
        let connection = self.send("GET", &path, "", Some(PATIENCE))?;
        let mut lines = BufReader::new(connection);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let room = MAX_LINE.saturating_sub(head.len() as u64);
            let read = lines.by_ref().take(room).read_until(b'\n', &mut head);
            if read.map_err(|error| self.lost(&error))? == 0 {
                return Err(strange("it is no HTTP"));
            }
        }
        let status = Head::read(&head)?.status;
        if (200..300).contains(&status) {
            let name = self.name();
            return Ok(Some(Following { lines, name }));
        }
        let mut body = Vec::new();
        let read = lines.take(MAX_LINE).read_to_end(&mut body);
        read.map_err(|error| self.lost(&error))?;
        found(Err(refused(status, &body)))
    }

    /// Asks, and returns the body of a good answer.
    fn ask(&self, method: &str, path: &str, body: &str) -> Result<Vec<u8>, Error> {
        let mut connection = self.send(method, path, body, Some(PATIENCE))?;
        let mut answer = Vec::new();
        let read = (&mut connection).take(MAX_ANSWER).read_to_end(&mut answer);
        // Some end TLS without saying so: whether it is whole, the length tells.
        match read {
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(self.lost(&error)),
            Ok(_) | Err(_) => {}
        }
        let head = Head::read(&answer)?;
        let body = &answer[head.len..];
        if head.body.is_some_and(|len| len != body.len()) {
            return Err(Error::Strange("it ends too early".to_owned()));
        }
        match head.status {
            200..300 => Ok(body.to_vec()),
            status => Err(refused(status, body)),
        }
    }

    /// Connects and asks. HTTP/1.0, so that an answer is as it is, and ends with the connection.
    fn send(
        &self,
        method: &str,
        path: &str,
        body: &str,
        patience: Option<Duration>,
    ) -> Result<Box<dyn Connection>, Error> {
        let mut head = format!("{method} {path} HTTP/1.0\r\n");
        let mut connection: Box<dyn Connection> = match &self.0 {
            Way::Socket(socket) => {
                head.push_str("Host: uturn\r\n");
                let stream = UnixStream::connect(socket).map_err(|error| absent(socket, &error))?;
                let set = stream.set_read_timeout(patience);
                set.and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
                    .map_err(|error| self.lost(&error))?;
                Box::new(stream)
            }
            Way::Remote(remote) => {
                let Remote {
                    host, port, token, ..
                } = &**remote;
                let token = String::from_utf8_lossy(token.expose());
                let _ = write!(
                    head,
                    "Host: {host}:{port}\r\nAuthorization: Bearer {token}\r\n"
                );
                Box::new(remote.connect(patience)?)
            }
        };
        if !body.is_empty() {
            let len = body.len();
            let _ = write!(
                head,
                "Content-Type: application/json\r\nContent-Length: {len}\r\n"
            );
        }
        head.push_str("\r\n");
        head.push_str(body);
        let written = connection.write_all(head.as_bytes());
        written
            .and_then(|()| connection.flush())
            .map_err(|error| self.lost(&error))?;
        Ok(connection)
    }

    fn lost(&self, error: &io::Error) -> Error {
        lost(&self.name(), error)
    }

    /// Which server it is, for people: its socket, or its host and port.
    pub fn name(&self) -> String {
        match &self.0 {
            Way::Socket(socket) => socket.display().to_string(),
            Way::Remote(remote) => format!("{}:{}", remote.host, remote.port),
        }
    }
}

impl Remote {
    fn connect(&self, patience: Option<Duration>) -> Result<impl Connection + use<>, Error> {
        let Self {
            host, port, tls, ..
        } = self;
        let unreachable =
            |error: &dyn std::fmt::Display| Error::Unreachable(format!("{host}:{port}: {error}"));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| unreachable(&error))?;
        let mut stream = TcpStream::connect((bare, *port)).map_err(|error| unreachable(&error))?;
        let configure = || {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.set_read_timeout(Some(PATIENCE))
        };
        configure().map_err(|error| unreachable(&error))?;
        let mut session =
            ClientConnection::new(Arc::clone(tls), name).map_err(|error| unreachable(&error))?;
        while session.is_handshaking() {
            (session.complete_io(&mut stream)).map_err(|error| unreachable(&handshake(&error)))?;
        }
        (stream.set_read_timeout(patience)).map_err(|error| unreachable(&error))?;
        Ok(StreamOwned::new(session, stream))
    }
}

/// A session that is followed: its lines, until it ends.
pub struct Following {
    lines: BufReader<Box<dyn Connection>>,
    name: String,
}

impl Iterator for Following {
    type Item = Result<TraceLine, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut line = Vec::new();
            let read = (&mut self.lines)
                .take(MAX_LINE)
                .read_until(b'\n', &mut line);
            match read {
                Ok(0) => return None,
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) => return Some(serde_json::from_slice(&line).map_err(strange)),
                // Some end TLS without saying so.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
                Err(error) => return Some(Err(lost(&self.name, &error))),
            }
        }
    }
}

fn lost(name: &str, error: &io::Error) -> Error {
    let why = match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("it has said nothing for {} seconds", PATIENCE.as_secs())
        }
        _ => error.to_string(),
    };
    Error::Unreachable(format!("no answer from {name}: {why}"))
}

/// Why a TLS handshake came to nothing.
fn handshake(error: &io::Error) -> String {
    use rustls::CertificateError as Why;
    let within = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(rustls::Error::InvalidCertificate(why)) = within else {
        return format!("no TLS: {error}");
    };
    match why {
        Why::Expired | Why::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        Why::NotValidForName | Why::NotValidForNameContext { .. } => {
            "its certificate is for other names: name it in --url as its certificate does".to_owned()
        }
        Why::UnknownIssuer => {
            "its certificate is from nobody that is believed here: --ca names a file to believe"
                .to_owned()
        }
        // What `openssl req -x509` makes unless it is told otherwise.
        Why::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is one that signs others: make one with -addext basicConstraints=CA:FALSE"
                .to_owned()
        }
        other => format!("its certificate is not good: {other}"),
    }
}

/// What precedes the body of an answer.
struct Head {
    status: u16,
    /// Of the head itself.
    len: usize,
    /// How long the body says that it is.
    body: Option<usize>,
}

impl Head {
    fn read(answer: &[u8]) -> Result<Self, Error> {
        let odd = || Error::Strange("it is no HTTP".to_owned());
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.ok_or_else(odd)?;
        let text = str::from_utf8(&answer[..end]).map_err(|_| odd())?;
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .ok_or_else(odd)?;
        let body = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().ok())?
        });
        Ok(Self {
            status,
            len: end + 4,
            body,
        })
    }
}

/// Nothing where there is no such thing.
fn found<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Error::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn refused(status: u16, body: &[u8]) -> Error {
    let detail = match serde_json::from_slice(body) {
        Ok(Problem { detail, .. }) => detail,
        Err(_) => "it does not say why".to_owned(),
    };
    Error::Refused { status, detail }
}

fn strange(error: impl std::fmt::Display) -> Error {
    Error::Strange(error.to_string())
}

fn absent(socket: &Path, error: &io::Error) -> Error {
    let socket = socket.display();
    Error::Unreachable(match error.kind() {
        ErrorKind::NotFound => format!(
            "there is no admin socket {socket}: is the server running? If it is, its log says where it answers operators, or why it does not"
        ),
        ErrorKind::PermissionDenied => format!(
            "this user may not use the admin socket {socket}: run this as root, or as the user that the server runs as"
        ),
        ErrorKind::ConnectionRefused => format!(
            "no server answers at the admin socket {socket}: it has ended and left the file behind, or the file is no socket"
        ),
        _ => format!("cannot reach the admin socket {socket}: {error}"),
    })
}

/// Percent-encoded, for a query.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

/// How long an answer may take to go on: a server waits two seconds for each worker.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest line of one that goes on.
const MAX_LINE: u64 = 1024 * 1024;
/// The longest answer.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;
