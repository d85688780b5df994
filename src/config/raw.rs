//! The key table: every key of the configuration with its type and its default.
//!
//! `config/uturn.toml` documents the same keys; a test compares the two. What the values mean together is
//! checked in [`super::checked`].

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::admin::AdminSocket;
use super::section::sections;
use super::text::{
    AfterExpiry, Algorithm, Arrival, ClientAddresses, Domain, EventKind, External, Ha1, Ha1Sha256,
    HostName, Level, LogFormat, Name, Realm, SecretText, Separator, ServerName, UdpBackend,
    UrlPath,
};
use super::units::{BitRate, ByteSize, DAY, Moment, Period, Ports};
use super::uri::{Origin, PageOrigin, WebhookUrl};
use super::value::{At, Number};
use crate::admission::peer_filter::PeerRange;
use crate::auth::TokenIntegrity;
use crate::turn::{ChannelNumbers, IcmpErrors};
use crate::wire::uri::ServerUri;

sections! {
    /// The whole file.
    struct Document {
        listen: Listen = "{}",
        tls: Tls,
        auth: Auth = "{}",
        relay: Relay = "{}",
        turn: Turn = "{}",
        nat_discovery: NatDiscovery,
        peers: Peers = "{}",
        limits: Limits = "{}",
        realms: Vec<At<RealmTable>> = "[]",
        api: Api,
        metrics: Metrics,
        admin: Admin = "{}",
        events: Events,
        usage: Usage,
        log: Log = "{}",
        server: Server = "{}",
    }

    /// Where clients are awaited.
    struct Listen {
        udp: Vec<At<SocketAddr>> = r#"["0.0.0.0:3478", "[::]:3478"]"#,
        tcp: Vec<At<SocketAddr>> = r#"["0.0.0.0:3478", "[::]:3478"]"#,
        // The default holds only where there is a certificate.
        tls: Vec<At<SocketAddr>> = r#"["0.0.0.0:5349", "[::]:5349"]"#,
        dtls: Vec<At<SocketAddr>> = "[]",
        shared: Vec<At<SocketAddr>> = "[]",
        proxy_protocol_from: Vec<At<PeerRange>> = "[]",
    }

    /// The certificate of TLS and DTLS listeners.
    struct Tls {
        certificate: PathBuf,
        key: PathBuf,
        accept_plain: bool = "true",
        certificates: Vec<At<NamedCertificate>> = "[]",
    }

    /// A certificate for clients that ask for one of its names.
    struct NamedCertificate {
        // Those in the certificate unless written.
        names: Vec<At<HostName>>,
        certificate: PathBuf,
        key: PathBuf,
    }

    /// Who may use the relay.
    struct Auth {
        realm: Realm = r#""uturn""#,
        shared_secrets: Vec<At<SecretText>> = "[]",
        shared_secret_files: Vec<At<PathBuf>> = "[]",
        shared_secret_env: Vec<At<String>> = "[]",
        separator: Separator = r#"":""#,
        after_expiry: AfterExpiry = r#""refresh""#,
        refresh_past_expiry: Period<0, { 30 * DAY }> = r#""24h""#,
        users: Vec<At<User>> = "[]",
        token_server_name: ServerName,
        token_integrity: TokenIntegrity = r#""rfc7635""#,
        token_keys: Vec<At<TokenKey>> = "[]",
    }

    /// A user with a fixed password.
    struct User {
        name: Name,
        password: SecretText,
        password_file: PathBuf,
        ha1: Ha1,
        ha1_sha256: Ha1Sha256,
    }

    /// A key that is shared with an authorization server.
    struct TokenKey {
        id: Name,
        secret: SecretText,
        secret_file: PathBuf,
        secret_env: String,
        not_before: Moment,
        not_after: Moment,
    }

    /// Where relayed transport addresses are taken from.
    struct Relay {
        addresses: Vec<At<IpAddr>>,
        external: External = "[]",
        ports: Ports = r#""49152-65535""#,
        icmp_errors: IcmpErrors = r#""rfc8489""#,
        copy_dscp_and_ecn: bool = "true",
        tcp: bool = "false",
    }

    /// The protocol.
    struct Turn {
        default_lifetime: Period<1, DAY> = r#""10m""#,
        max_lifetime: Period<1, DAY> = r#""1h""#,
        nonce_lifetime: Period<1, DAY> = r#""1h""#,
        channel_numbers: ChannelNumbers = r#""rfc8656""#,
        channel_keeps_permission: bool = "true",
        max_permissions: Number<1, 65536> = "128",
        max_channels: Number<1, 16384> = "128",
        max_peer_connections: Number<1, 65536> = "32",
        software: bool = "true",
        mobility: bool = "false",
        draft_address_families: bool = "false",
        alternate_servers: Vec<At<SocketAddr>> = "[]",
        alternate_domain: Domain,
    }

    /// NAT behaviour discovery.
    struct NatDiscovery {
        alternate_addresses: Vec<At<IpAddr>>,
        alternate_external: Vec<At<IpAddr>> = "[]",
        alternate_port: Number<1, 65535> = "3479",
        response_port: bool = "false",
        replies_per_second: Number<1, 1_000_000> = "10",
        replies_burst: Number<1, 1_000_000> = "50",
    }

    /// Which peers may be reached.
    struct Peers {
        deny_special_purpose: bool = "true",
        deny_own_addresses: bool = "true",
        deny: Vec<At<PeerRange>> = "[]",
        allow: Vec<At<PeerRange>> = "[]",
        name_rule_in_reply: bool = "false",
    }

    /// How much anyone may do.
    struct Limits {
        allocations_per_user: Number<1, 1_000_000> = "64",
        allocations_per_client_address: Number<1, 1_000_000> = "512",
        allocations_total: Number<1, 1_000_000> = "16384",
        bandwidth_per_allocation: BitRate = r#""80 Mbit/s""#,
        bandwidth_per_user: BitRate = r#""160 Mbit/s""#,
        bandwidth_total: BitRate = r#""8 Gbit/s""#,
        unauthenticated_replies_per_second: Number<1, 1_000_000> = "50",
        unauthenticated_replies_burst: Number<1, 1_000_000> = "250",
        connections: Number<1, 1_000_000> = "16384",
        connections_per_address: Number<1, 1_000_000> = "512",
        new_connections_per_second: Number<1, 1_000_000> = "50",
        new_connections_burst: Number<1, 1_000_000> = "250",
        idle_timeout: Period<1, 3600> = r#""30s""#,
        handshake_timeout: Period<1, 300> = r#""10s""#,
    }

    /// A realm beside the default one.
    struct RealmTable {
        name: Realm,
        origins: Vec<At<PageOrigin>>,
        server_names: Vec<At<HostName>>,
        listen: Vec<At<Arrival>>,
        auth: RealmAuth = "{}",
        peers: RealmPeers = "{}",
        limits: RealmLimits = "{}",
    }

    /// Who may use the relay in a realm. What has no default here and is optional in `[auth]` is inherited.
    struct RealmAuth {
        shared_secrets: Vec<At<SecretText>> = "[]",
        shared_secret_files: Vec<At<PathBuf>> = "[]",
        shared_secret_env: Vec<At<String>> = "[]",
        separator: Separator,
        after_expiry: AfterExpiry,
        refresh_past_expiry: Period<0, { 30 * DAY }>,
        users: Vec<At<User>> = "[]",
        token_server_name: ServerName,
        token_integrity: TokenIntegrity,
        token_keys: Vec<At<TokenKey>> = "[]",
    }

    /// Which peers may be reached in a realm: inherited, unless written.
    struct RealmPeers {
        deny_special_purpose: bool,
        deny_own_addresses: bool,
        deny: Vec<At<PeerRange>>,
        allow: Vec<At<PeerRange>>,
        name_rule_in_reply: bool,
    }

    /// How much anyone may do in a realm: inherited, unless written.
    struct RealmLimits {
        allocations_per_user: Number<1, 1_000_000>,
        allocations_per_client_address: Number<1, 1_000_000>,
        allocations_total: Number<1, 1_000_000>,
        bandwidth_per_allocation: BitRate,
        bandwidth_per_user: BitRate,
        bandwidth_total: BitRate,
    }

    /// The HTTP interface.
    struct Api {
        listen: Vec<At<SocketAddr>> = r#"["127.0.0.1:3480"]"#,
        trusted_proxies: Vec<At<PeerRange>> = "[]",
        uris: Vec<At<ServerUri>>,
        ttl: Period<60, { 365 * DAY }> = r#""24h""#,
        max_ttl: Period<60, { 365 * DAY }> = r#""48h""#,
        origins: Vec<At<Origin>> = "[]",
        requests_per_key_per_minute: Number<1, 1_000_000> = "600",
        requests_per_address_per_minute: Number<1, 1_000_000> = "60",
        keys: Vec<At<ApiKey>> = "[]",
        tokens: Vec<At<Token>> = "[]",
    }

    /// A key that may ask for credentials.
    struct ApiKey {
        name: Name,
        realm: Realm,
        secret: SecretText,
        secret_file: PathBuf,
        secret_env: String,
    }

    /// A key that verifies tokens.
    struct Token {
        name: Name,
        realm: Realm,
        algorithm: Algorithm,
        secret: SecretText,
        secret_file: PathBuf,
        secret_env: String,
        public_key_file: PathBuf,
        audience: String,
        issuer: String,
    }

    /// Counters for Prometheus.
    struct Metrics {
        listen: Vec<At<SocketAddr>> = "[]",
        path: UrlPath = r#""/metrics""#,
        coturn_names: bool = "false",
    }

    /// What an operator may ask a running server.
    struct Admin {
        socket: AdminSocket = r#""auto""#,
        tcp: AdminTcp,
    }

    /// The same over the network.
    struct AdminTcp {
        listen: Vec<At<SocketAddr>> = "[]",
        token_file: PathBuf,
        certificate: PathBuf,
        key: PathBuf,
    }

    /// What happens, for others than the log.
    struct Events {
        file: PathBuf,
        kinds: Vec<At<EventKind>> = r#"["sessions", "refusals", "limits", "server"]"#,
        webhooks: Vec<At<Webhook>> = "[]",
    }

    /// Who is told of events over HTTP.
    struct Webhook {
        name: Name,
        url: WebhookUrl,
        secret: SecretText,
        secret_file: PathBuf,
        secret_env: String,
        // Those of the table around it unless written.
        kinds: Vec<At<EventKind>>,
        timeout: Period<1, 60> = r#""5s""#,
        ca: PathBuf,
    }

    /// What sessions relay.
    struct Usage {
        file: PathBuf,
        every: Period<1, 3600> = r#""1m""#,
    }

    /// What is logged, and how.
    struct Log {
        format: LogFormat = r#""text""#,
        level: Level = r#""info""#,
        client_addresses: ClientAddresses = r#""truncated""#,
    }

    /// The process.
    struct Server {
        // That of the host unless written.
        name: Name,
        workers: Number<0, 1024> = "0",
        listener_receive_buffer: ByteSize = r#""4 MiB""#,
        relay_receive_buffer: ByteSize = r#""256 KiB""#,
        udp_backend: UdpBackend = r#""auto""#,
    }
}
