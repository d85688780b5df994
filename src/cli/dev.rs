//! `uturn dev`: a relay on loopback without any configuration, for web developers.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::credential::now;
use super::service::{Service, Signals};
use super::{BAD_CONFIGURATION, FAILED, FINE, complain, logging, show};
use crate::admin;
use crate::auth::{self, Minted};
use crate::config::{self, Checked};
use crate::net::{Certificate, Listener, ListenerTransport};
use crate::wire::uri::Host;

/// Serve this machine alone, without any configuration
///
/// A relay on loopback with a random secret, and an HTTP interface that gives credentials to web pages from
/// localhost. Everything is forgotten when it stops.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// The port of the relay, over UDP and TCP; 0 takes any free one
    #[arg(long, default_value_t = 3478)]
    port: u16,

    /// The port of the relay over TLS, with a self-signed certificate for localhost; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 5349)]
    tls_port: u16,

    /// The port of the HTTP interface; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 3480)]
    http_port: u16,

    /// The realm of every challenge
    #[arg(long, default_value = "localhost", value_parser = config::realm)]
    realm: String,
}

const HELP: &str = "\
Examples:
  uturn dev
  uturn dev --port 0 --tls-port 0 --http-port 0    beside another server
  curl http://127.0.0.1:3480/ice                   what a web page gets

Exit codes:
  0  stopped by a signal
  1  failed while starting or running, such as a port in use
  2  wrong usage";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let checked = match configuration(arguments) {
        Ok(checked) => checked,
        Err(sentence) => {
            complain(&sentence);
            return BAD_CONFIGURATION.into();
        }
    };
    match serve(checked) {
        Ok(()) => FINE.into(),
        Err(sentence) => {
            complain(&sentence);
            FAILED.into()
        }
    }
}

fn serve(checked: Checked) -> Result<(), String> {
    logging::start(checked.log)?;
    let mut signals = Signals::take().map_err(|error| format!("cannot take signals: {error}"))?;
    let secret = &checked.relay.auth.shared_secrets[0];
    let credential = auth::mint(secret, ':', Some("dev"), CREDENTIAL_LIFETIME, now());
    let Checked { relay, api, .. } = checked;
    let rules = admin::rules_of(&relay, &[]);
    let service = Service::start(relay, false, |listeners| {
        api.map(|api| crate::api::Settings {
            uris: uris(listeners),
            allow_loopback_origins: true,
            ..api
        })
    })
    .map_err(|sentence| {
        format!("{sentence}; `uturn dev --port 0 --tls-port 0 --http-port 0` takes free ports")
    })?;
    let service = match socket() {
        Some(path) => service.with_admin(
            admin::Settings {
                socket: admin::Socket::Auto(path),
                tcp: None,
            },
            false,
            rules,
        )?,
        None => service,
    };
    print!("{}", greeting(&service, &credential));
    let ended = signals.wait(&service);
    service.stop();
    ended
}

/// Where the developer's own commands ask it: in the directory of their session, which nobody else can enter.
fn socket() -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
    directory
        .is_absolute()
        .then(|| directory.join("uturn-dev.sock"))
}

/// The configuration that `uturn dev` stands for.
fn configuration(arguments: &Arguments) -> Result<Checked, String> {
    let has_ipv6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let on = |port: u16| {
        let ipv4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let ipv6 = has_ipv6.then(|| SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        [Some(ipv4), ipv6].into_iter().flatten()
    };
    let listen: Vec<_> = on(arguments.port)
        .map(|address| address.to_string())
        .collect();
    let secret = BASE64_STANDARD.encode(rand::random::<[u8; 32]>());
    let http_port = arguments.http_port;
    let text = format!(
        r#"
        [listen]
        udp = {listen:?}
        tcp = {listen:?}
        [auth]
        shared_secrets = ["{secret}"]
        # Relay sockets are bound to loopback: nothing beyond this machine can be reached.
        [peers]
        deny_own_addresses = false
        allow = ["127.0.0.0/8", "::1"]
        # One developer needs few, and no shell's limit of descriptors is met.
        [limits]
        allocations_total = 256
        connections = 256
        [api]
        listen = ["127.0.0.1:{http_port}"]
        "#
    );
    let loaded = config::load_text("uturn dev", &text).map_err(|report| {
        show(&report);
        "these ports do not go together".to_owned()
    })?;
    let mut checked = loaded.checked;
    checked.relay.auth.realm = arguments.realm.clone();
    checked
        .relay
        .net
        .listeners
        .extend(on(arguments.tls_port).map(|address| Listener {
            transport: ListenerTransport::Tls,
            address,
        }));
    checked.relay.net.certificate = Some(self_signed()?);
    Ok(checked)
}

fn self_signed() -> Result<Certificate, String> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let certified = rcgen::generate_simple_self_signed(names)
        .map_err(|error| format!("cannot make a certificate: {error}"))?;
    Ok(Certificate::Pem {
        chain: certified.cert.pem(),
        key: certified.signing_key.serialize_pem(),
    })
}

/// What web pages are told: IPv4, without TLS, whose certificate browsers refuse.
fn uris(listeners: &[Listener]) -> Vec<String> {
    let plain = listeners.iter().filter(|listener| {
        listener.transport != ListenerTransport::Tls && listener.address.is_ipv4()
    });
    plain.map(uri).collect()
}

fn uri(listener: &Listener) -> String {
    let Listener { transport, address } = *listener;
    let host = match transport {
        ListenerTransport::Tls | ListenerTransport::Dtls | ListenerTransport::Shared => {
            Host::Name("localhost".to_owned())
        }
        ListenerTransport::Udp | ListenerTransport::Tcp => Host::Address(address.ip()),
    };
    config::uri(transport, host, address.port()).to_string()
}

fn greeting(service: &Service, credential: &Minted) -> String {
    let mut uris: Vec<_> = service.listeners().iter().map(uri).collect();
    uris.dedup();
    let note = |uri: &String| match uri.starts_with("turns:") {
        true => format!("  {uri}  (self-signed: browsers refuse it)\n"),
        false => format!("  {uri}\n"),
    };
    let uris: String = uris.iter().map(note).collect();
    let Minted {
        username, password, ..
    } = credential;
    let http: String = service
        .http_addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    let watch = match service.admin().and_then(admin::Running::socket) {
        Some(socket) => format!(
            "See who uses it:\n\n  uturn top --socket {}\n\n",
            socket.display()
        ),
        None => String::new(),
    };
    format!(
        "\
uturn serves this machine until Ctrl-C.

{uris}
  username    {username}
  credential  {password}

Paste into the web app:

  const {{ iceServers }} = await (await fetch(\"http://{http}/ice\")).json();
  const connection = new RTCPeerConnection({{ iceServers }});

{watch}"
    )
}

const CREDENTIAL_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
