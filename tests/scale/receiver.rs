//! A receiver of webhooks that does as it is told.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;

/// What deliveries are signed with.
pub const KEY: &str = "q7Jv0aXzq7Jv0aXzq7Jv0aXz";

/// What a receiver does with a delivery.
pub enum Do {
    Answer(&'static str),
    Close,
    /// Keeps the connection, and says nothing.
    Hang,
}

/// A delivery as it arrived.
pub struct Arrived {
    pub head: String,
    pub body: Vec<u8>,
}

impl Arrived {
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines();
        let found = lines.find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        found.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    pub fn events(&self) -> Vec<Value> {
        serde_json::from_slice(&self.body).expect("a list")
    }

    /// As docs/events.md says.
    #[track_caller]
    pub fn assert_signed(&self) {
        let signature = self.header("uturn-signature");
        let (time, digits) = signature
            .strip_prefix("t=")
            .and_then(|rest| rest.split_once(",v1="))
            .expect("both parts");
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(format!("{time}.").as_bytes());
        mac.update(&self.body);
        let expected: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(digits, expected);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let age = now.as_secs().abs_diff(time.parse().expect("seconds"));
        assert!(age < 60, "{age}");
    }
}

/// Receives deliveries, does with each what `script` says, and takes what comes after.
pub fn receiver(script: Vec<Do>) -> (SocketAddr, Receiver<Arrived>) {
    receive_by(script, |stream| stream)
}

pub fn receive_by<S: Read + Write>(
    script: Vec<Do>,
    accept: impl Fn(TcpStream) -> S + Send + 'static,
) -> (SocketAddr, Receiver<Arrived>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    (address, receive_at(listener, script, accept))
}

pub fn receive_at<S: Read + Write>(
    listener: TcpListener,
    script: Vec<Do>,
    accept: impl Fn(TcpStream) -> S + Send + 'static,
) -> Receiver<Arrived> {
    let (arrived, all) = channel();
    thread::spawn(move || {
        let mut script = script.into_iter();
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            let mut stream = accept(stream);
            // A client that does not trust us goes without a word.
            let Some(delivery) = read_delivery(&mut stream) else {
                continue;
            };
            match script.next().unwrap_or(Do::Answer("204 No Content")) {
                Do::Answer(status) => {
                    let answer = format!(
                        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                    );
                    let _ = stream.write_all(answer.as_bytes());
                }
                Do::Close => drop(stream),
                Do::Hang => kept.push(stream),
            }
            let _ = Sender::send(&arrived, delivery);
        }
    });
    all
}

fn read_delivery(stream: &mut impl Read) -> Option<Arrived> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        let Some(end) = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let arrived = Arrived {
            body: bytes[end + 4..].to_vec(),
            head,
        };
        let length: usize = arrived.header("content-length").parse().ok()?;
        if arrived.body.len() >= length {
            return Some(arrived);
        }
    }
}
