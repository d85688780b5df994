//! An HTTP/1.1 client of one request per connection, which hides nothing of the answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use uturn::api::Running;

/// A request under construction.
pub struct Request {
    server: SocketAddr,
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

pub fn get(server: &Running, path: &str) -> Request {
    request(server, "GET", path)
}

pub fn post(server: &Running, path: &str, media_type: &str, body: &str) -> Request {
    let mut request = request(server, "POST", path).header("Content-Type", media_type);
    request.body = body.as_bytes().to_vec();
    request
}

pub fn request(server: &Running, method: &str, path: &str) -> Request {
    let server = server.addresses()[0];
    Request {
        server,
        line: format!("{method} {path} HTTP/1.1"),
        headers: vec![
            ("Host".to_owned(), server.to_string()),
            ("Connection".to_owned(), "close".to_owned()),
        ],
        body: Vec::new(),
    }
}

impl Request {
    /// Adds a header, or replaces the one that has this name.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn bearer(self, value: &str) -> Self {
        self.header("Authorization", format!("Bearer {value}"))
    }

    pub fn send(mut self) -> Answer {
        if !self.body.is_empty() {
            let length = self.body.len().to_string();
            self = self.header("Content-Length", length);
        }
        let mut head = self.line;
        for (name, value) in &self.headers {
            head.push_str(&format!("\r\n{name}: {value}"));
        }
        head.push_str("\r\n\r\n");
        let mut stream = TcpStream::connect(self.server).expect("connects");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a timeout");
        stream.write_all(head.as_bytes()).expect("writes");
        // A server may refuse before it has read the body.
        let _ = stream.write_all(&self.body);
        Answer::read(stream)
    }
}

impl Answer {
    fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        // Whatever arrived before a reset counts.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole header");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let headers = lines.filter_map(|line| line.split_once(':'));
        Self {
            status: status.expect("a status").parse().expect("a number"),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands there twice");
        value
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("JSON: {self:?}"))
    }

    /// Checks that this is a credential answer, and returns it.
    #[track_caller]
    pub fn credentials(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("vary"), Some("Origin"));
        self.json()
    }

    /// Checks that this is a problem (RFC 9457) of `status`, and returns its `detail`.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let problem = self.json();
        assert_eq!(problem["status"], status);
        let kind = problem["type"].as_str().expect("a type");
        assert!(kind == "about:blank" || kind.starts_with("urn:uturn:problem:"));
        assert!(problem["title"].as_str().is_some_and(|t| !t.is_empty()));
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.ends_with('.'), "a sentence: {detail}");
        detail.to_owned()
    }
}
