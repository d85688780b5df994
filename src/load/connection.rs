//! One client's connection.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use rustls::ClientConnection;

/// A connection, from the attempt to make it on.
pub(super) struct Connection {
    stream: TcpStream,
    tls: Option<ClientConnection>,
    connected: bool,
    /// What the socket has not taken yet: without TLS, as TLS keeps its own.
    unsent: Vec<u8>,
    /// The beginning of a message whose end has not arrived.
    pub(super) rest: Vec<u8>,
    /// Why writing failed: told when it is next read.
    failed: Option<String>,
}

impl Connection {
    /// A connection that is being made.
    pub(super) fn new(stream: TcpStream, tls: Option<ClientConnection>) -> Self {
        Self {
            stream,
            tls,
            connected: false,
            unsent: Vec::new(),
            rest: Vec::new(),
            failed: None,
        }
    }

    /// Whether the socket has taken all that was sent.
    pub(super) fn is_idle(&self) -> bool {
        let tls_is_idle = match &self.tls {
            Some(tls) => !tls.wants_write(),
            None => true,
        };
        self.connected && self.unsent.is_empty() && tls_is_idle
    }

    /// Sends bytes, now or as soon as the socket takes them.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let sent = match &mut self.tls {
            Some(tls) => tls
                .writer()
                .write_all(bytes)
                .map_err(|error| error.to_string()),
            None => {
                let taken = match self.connected && self.unsent.is_empty() {
                    true => write(&mut self.stream, bytes),
                    false => Ok(0),
                };
                taken.map(|taken| self.unsent.extend_from_slice(&bytes[taken..]))
            }
        };
        let flushed = sent.and_then(|()| match self.tls {
            Some(_) => self.flush(),
            None => Ok(()),
        });
        if let Err(why) = flushed {
            self.failed = Some(why);
        }
    }

    /// Hands the socket what it has not taken yet; the error says why the connection has ended.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        if !self.is_connected()? {
            return Ok(());
        }
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        if !self.unsent.is_empty() {
            let taken = write(&mut self.stream, &self.unsent)?;
            self.unsent.drain(..taken);
        }
        Ok(())
    }

    /// Whether the connection has been made; the error says why it could not be.
    fn is_connected(&mut self) -> Result<bool, String> {
        if !self.connected {
            if let Ok(Some(error)) | Err(error) = self.stream.take_error() {
                return Err(error.to_string());
            }
            // Until then there is no address at the other end.
            self.connected = self.stream.peer_addr().is_ok();
            if self.connected {
                // Each message leaves at once, as WebRTC's do.
                self.stream
                    .set_nodelay(true)
                    .map_err(|error| error.to_string())?;
            }
        }
        Ok(self.connected)
    }

    /// Reads bytes of messages; `None` if there are none. The error says why the connection has ended.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Result<Option<usize>, String> {
        if let Some(why) = self.failed.take() {
            return Err(why);
        }
        if !self.is_connected()? {
            return Ok(None);
        }
        loop {
            if let Some(tls) = &mut self.tls {
                match tls.reader().read(room) {
                    Ok(0) => return Err(CLOSED.to_owned()),
                    Ok(read) => return Ok(Some(read)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
            let read = match &mut self.tls {
                Some(tls) => tls.read_tls(&mut self.stream),
                None => self.stream.read(room),
            };
            match (read, &mut self.tls) {
                (Ok(0), _) => return Err(CLOSED.to_owned()),
                (Ok(read), None) => return Ok(Some(read)),
                (Ok(_), Some(tls)) => {
                    tls.process_new_packets().map_err(|error| refused(&error))?;
                }
                (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                (Err(error), _) if error.kind() == io::ErrorKind::Interrupted => {}
                (Err(error), _) => return Err(error.to_string()),
            }
        }
    }
}

const CLOSED: &str = "the server has closed the connection";

/// Writes as much as the socket takes at once.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize, String> {
    match stream.write(bytes) {
        Ok(taken) => Ok(taken),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error.to_string()),
    }
}

fn refused(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(_) => {
            format!(
                "{error} (--ca FILE says whose certificates are accepted, --insecure accepts any)"
            )
        }
        _ => format!("TLS failed: {error}"),
    }
}
