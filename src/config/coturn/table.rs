//! Every option that coturn has or had, and what becomes of it: one row each.
//!
//! The same rows make the table in docs/coturn.md.

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// A value.
    Value,
    /// Yes or no; yes where there is no value.
    Flag,
    /// Nothing: whatever value it has, it is on.
    Nothing,
}

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It has a place in the configuration.
    Mapped,
    /// uturn does it anyway, or does without.
    NotNeeded,
    /// The operator has to decide.
    Decision,
    /// A name of earlier releases, which needs nothing.
    Legacy,
}

/// An option of coturn.
#[derive(Debug)]
pub(super) struct Row {
    /// A heading of docs/coturn.md.
    #[cfg_attr(not(test), expect(dead_code))]
    pub group: &'static str,
    pub name: &'static str,
    pub takes: Takes,
    pub fate: Fate,
    /// Where it goes, why it is not needed, or what there is to decide.
    pub words: &'static str,
}

impl Row {
    /// Whether it may be given several times.
    pub fn is_list(&self) -> bool {
        const LISTS: [&str; 13] = [
            "listening-ip",
            "aux-server",
            "external-ip",
            "relay-ip",
            "static-auth-secret",
            "user",
            "denied-peer-ip",
            "allowed-peer-ip",
            "alternate-server",
            "tls-alternate-server",
            "udp-alternate-server",
            "tcp-alternate-server",
            "relay-device",
        ];
        LISTS.contains(&self.name)
    }

    /// Whether it says which peers may be reached.
    pub fn is_address_rule(&self) -> bool {
        matches!(self.name, "denied-peer-ip" | "allowed-peer-ip")
    }
}

/// The row of an option.
pub(super) fn row(name: &str) -> Option<&'static Row> {
    OPTIONS.iter().find(|row| row.name == name)
}

/// The option whose name is most like an unknown one, if any is.
pub(super) fn similar(name: &str) -> Option<&'static str> {
    let normal = name.to_ascii_lowercase().replace('_', "-");
    let distance = |known: &'static str| (strsim::damerau_levenshtein(&normal, known), known);
    let near = OPTIONS.iter().map(|row| distance(row.name));
    let near = near.filter(|(distance, known)| *distance <= known.len() / 4);
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

macro_rules! options {
    ($($group:literal: { $($name:literal $takes:ident $fate:ident $words:literal;)* })*) => {
        /// Group by group.
        pub(super) static OPTIONS: &[Row] = &[$($(Row {
            group: $group,
            name: $name,
            takes: Takes::$takes,
            fate: Fate::$fate,
            words: $words,
        },)*)*];
    };
}

options! {
    "Listening": {
        "listening-port" Value Mapped "the port in `udp` and `tcp` of [listen]";
        "tls-listening-port" Value Mapped "the port in `tls` and `dtls` of [listen], where there is a certificate";
        "listening-ip" Value Mapped "the addresses in [listen], and with them those that are relayed from";
        "alt-listening-port" Value Mapped "`alternate_port` in [nat_discovery], where `rfc5780` is on";
        "alt-tls-listening-port" Value NotNeeded "NAT behaviour discovery is for UDP alone";
        "listening-device" Value Decision "uturn listens by address: name the addresses of the device in [listen]";
        "tcp-proxy-port" Value Decision "uturn believes proxies by their address: name them in `proxy_protocol_from` of [listen], and add this port to `tcp`";
        "aux-server" Value Mapped "one more address in `udp` and `tcp` of [listen]";
        "no-udp" Flag Mapped "`udp = []` in [listen]";
        "no-tcp" Flag Mapped "`tcp = []` in [listen]";
        "no-tls" Flag Mapped "no `tls` in [listen]";
        "dtls" Flag Mapped "`dtls` in [listen]";
        "no-dtls" Flag NotNeeded "off unless `dtls` in [listen] names an address";
        "sock-buf-size" Value NotNeeded "`listener_receive_buffer` and `relay_receive_buffer` in [server] have larger defaults where it counts";
        "drop-invalid-packets" Flag NotNeeded "what is no STUN is always dropped";
        "drop-invalid-packets-log" Flag NotNeeded "what is dropped is counted, not logged one by one";
        "respond-http-unsupported" Flag NotNeeded "a `shared` listener answers HTTP; others close";
        "acme-redirect" Value Decision "uturn redirects no HTTP: have a web server, or the ACME client itself, answer on port 80";
    }
    "Relay and NAT": {
        "external-ip" Value Mapped "`external` in [relay]; the private address of a pair is not allowed as a peer";
        "relay-ip" Value Mapped "`addresses` in [relay]";
        "relay-device" Value Decision "uturn relays by address: name the addresses of the device as `addresses` in [relay]";
        "min-port" Value Mapped "the first of `ports` in [relay]";
        "max-port" Value Mapped "the last of `ports` in [relay]";
        "no-udp-relay" Flag Decision "uturn always relays UDP: close the ports in the firewall if nobody may use it";
        "no-tcp-relay" Flag Mapped "`tcp` in [relay], off by default";
        "relay-threads" Value Mapped "`workers` in [server]";
        "cpus" Value Mapped "`workers` in [server], where `relay-threads` is not given";
        "allocation-default-address-family" Value Decision "a client that asks for no family gets IPv4, as RFC 8656 has it; IPv6 clients have to ask";
        "keep-address-family" Flag Decision "a client that asks for no family gets IPv4, as RFC 8656 has it; IPv6 clients have to ask";
        "server-relay" Flag Decision "not carried over: it lets relays take the place of servers, against RFC 8656; clients that need it cannot be served";
        "multiplex-peer" Nothing Decision "not carried over: each allocation has a port of its own, as RFC 8656 has it; open `ports` of [relay] in the firewall";
        "multiplex-peer-port" Value NotNeeded "there is no port that allocations share";
        "multiplex-peer-max-peers" Value NotNeeded "`max_permissions` and `max_channels` in [turn] bound what an allocation holds";
        "udp-recvmmsg" Flag NotNeeded "datagrams pass in batches: `udp_backend` in [server]";
        "udp-recvmmsg-log" Flag NotNeeded "a diagnosis of coturn's";
        "udp-sendmmsg-log" Flag NotNeeded "a diagnosis of coturn's";
        "udp-gso" Flag NotNeeded "used where the system has it: `udp_backend` in [server]";
    }
    "Authentication": {
        "use-auth-secret" Nothing Mapped "`shared_secrets` in [auth]";
        "static-auth-secret" Value Mapped "`shared_secrets` in [auth], all of them";
        "lt-cred-mech" Flag Mapped "[[auth.users]]; clients are always authenticated";
        "user" Value Mapped "[[auth.users]], with `password` or `ha1`";
        "realm" Value Mapped "`realm` in [auth]";
        "no-auth" Flag Decision "refused: uturn never relays for everyone; add `use-auth-secret` and `static-auth-secret`";
        "rest-api-separator" Value Mapped "`separator` in [auth]";
        "userdb" Value Decision "uturn reads no database: export users to [[auth.users]] and secrets to `shared_secrets`";
        "db" Value Decision "uturn reads no database: export users to [[auth.users]] and secrets to `shared_secrets`";
        "psql-userdb" Value Decision "uturn reads no database: export users to [[auth.users]] and secrets to `shared_secrets`";
        "sql-userdb" Value Decision "uturn reads no database: export users to [[auth.users]] and secrets to `shared_secrets`";
        "mysql-userdb" Value Decision "uturn reads no database: export users to [[auth.users]] and secrets to `shared_secrets`";
        "mongo-userdb" Value Decision "uturn reads no database: export users to [[auth.users]] and secrets to `shared_secrets`";
        "redis-userdb" Value Decision "uturn reads no database: export users to [[auth.users]] and secrets to `shared_secrets`";
        "redis-statsdb" Value Decision "uturn writes no database: [usage] has a file with what each session relays, and [[events.webhooks]] tell of each that begins or ends";
        "secret-key-file" Value Decision "it opens encrypted passwords of a MySQL database: export these users with their HA1";
        "oauth" Flag Decision "the keys are in coturn's database: write them as [[auth.token_keys]], with `token_integrity = \"coturn\"` in [auth]";
        "server-name" Value Decision "`token_server_name` in [auth], once there is an [[auth.token_keys]]; nothing else needs it";
        "secure-stun" Flag Decision "Binding is answered without credentials, in few bytes and within limits for each address";
        "check-origin-consistency" Flag NotNeeded "an allocation keeps the realm that it began in; ORIGIN has no other use";
        "stale-nonce" Value Mapped "`nonce_lifetime` in [turn]";
        "stateless-nonce" Flag NotNeeded "nonces are stateless";
        "stateless-nonce-secret" Value Decision "each uturn has a key of its own: a client that moves to another server is challenged once more";
        "no-auth-pings" Nothing NotNeeded "there is no database to keep awake";
        "no-dynamic-ip-list" Nothing NotNeeded "there is no database of peer rules";
        "no-dynamic-realms" Nothing NotNeeded "realms stand in the configuration: [[realms]]";
        "unauthorized-ratelimit" Flag NotNeeded "always on: `unauthenticated_replies_per_second` in [limits]";
        "unauthorized-ratelimit-rps" Value NotNeeded "`unauthenticated_replies_per_second` in [limits] has a default of its own";
    }
    "Limits": {
        "user-quota" Value Mapped "`allocations_per_user` in [limits]";
        "total-quota" Value Mapped "`allocations_total` in [limits]";
        "max-bps" Value Mapped "`bandwidth_per_allocation` in [limits], in bits where coturn has bytes";
        "bps-capacity" Value Mapped "`bandwidth_total` in [limits], in bits where coturn has bytes";
        "max-allocate-lifetime" Value Mapped "`max_lifetime` in [turn]";
        "channel-lifetime" Value NotNeeded "RFC 8656 fixes it: 10 minutes";
        "permission-lifetime" Value NotNeeded "RFC 8656 fixes it: 5 minutes, unless a channel keeps the permission";
        "max-allocate-timeout" Value NotNeeded "nothing is kept for a client without an allocation; connections have `idle_timeout` in [limits]";
    }
    "Peers": {
        "denied-peer-ip" Value Mapped "`deny` in [peers], except what is denied by default";
        "allowed-peer-ip" Value Mapped "`allow` in [peers]";
        "no-multicast-peers" Flag NotNeeded "multicast is always denied";
        "allow-loopback-peers" Flag Decision "not carried over: name the one address that has to be reached in `allow` of [peers]";
    }
    "TLS": {
        "cert" Value Mapped "`certificate` in [tls]";
        "pkey" Value Mapped "`key` in [tls]";
        "pkey-pwd" Value Decision "uturn takes keys without a passphrase: openssl pkey -in KEY -out PLAIN, readable by the service alone";
        "cipher-list" Value NotNeeded "TLS 1.2 and 1.3, with suites of ECDHE and AEAD alone";
        "dh-file" Value NotNeeded "key exchange is by elliptic curves alone";
        "CA-file" Value Decision "uturn asks clients for no certificate: TURN credentials say who they are";
        "ec-curve-name" Value NotNeeded "curves are negotiated";
        "no-tlsv1_2" Flag Decision "TLS 1.2 stays on beside 1.3";
        "raw-public-keys" Flag Decision "uturn has certificates alone (X.509)";
        "dh566" Flag NotNeeded "key exchange is by elliptic curves alone";
        "dh1066" Flag NotNeeded "key exchange is by elliptic curves alone";
        "tlsv1" Flag Decision "not carried over: uturn speaks TLS 1.2 and 1.3; clients that know only 1.0 cannot use TLS";
        "tlsv1_1" Flag Decision "not carried over: uturn speaks TLS 1.2 and 1.3; clients that know only 1.1 cannot use TLS";
    }
    "Protocol": {
        "fingerprint" Flag NotNeeded "who sends FINGERPRINT gets it back";
        "software-attribute" Flag NotNeeded "SOFTWARE is told to authenticated clients: `software` in [turn]";
        "no-software-attribute" Flag Mapped "`software = false` in [turn]";
        "stun-only" Flag Decision "uturn always relays for those with a credential: give nobody the secret, and it answers STUN alone";
        "no-stun" Flag Decision "Binding is always answered, in few bytes and within limits for each address";
        "rfc5780" Nothing Mapped "[nat_discovery], where there are two addresses";
        "no-rfc5780" Nothing NotNeeded "off unless there is [nat_discovery]";
        "stun-backward-compatibility" Flag NotNeeded "STUN of RFC 3489 is not spoken";
        "rfc3489-compatibility" Flag Decision "STUN of RFC 3489 is not spoken; clients newer than 2008 do not need it";
        "rfc5766-channel-numbers" Flag Mapped "`channel_numbers = \"rfc5766\"` in [turn]";
        "response-origin-only-with-rfc5780" Nothing NotNeeded "RESPONSE-ORIGIN is sent with [nat_discovery] alone";
        "include-reason-string" Flag NotNeeded "every refusal says why";
        "mobility" Flag Mapped "`mobility` in [turn]";
    }
    "Several servers": {
        "alternate-server" Value Mapped "`alternate_servers` in [turn], for clients over all transports";
        "tls-alternate-server" Value Decision "there is one list for all transports: `alternate_servers` in [turn]";
        "udp-alternate-server" Value Mapped "`alternate_servers` in [turn], for clients over all transports";
        "tcp-alternate-server" Value Mapped "`alternate_servers` in [turn], for clients over all transports";
        "udp-self-balance" Flag NotNeeded "the kernel spreads clients over the workers";
        "drain-min-allocations" Value Decision "uturn has no drain mode: take the server out of what hands it to clients, and stop it later";
    }
    "Log and process": {
        "log-file" Value NotNeeded "the log goes to standard error; under systemd to the journal";
        "no-stdout-log" Flag NotNeeded "the log goes to standard error; under systemd to the journal";
        "syslog" Flag NotNeeded "the log goes to standard error; under systemd to the journal";
        "syslog-facility" Value NotNeeded "the log goes to standard error; under systemd to the journal";
        "simple-log" Flag NotNeeded "there are no log files to rotate";
        "verbose" Flag NotNeeded "what it shows is logged by default: each allocation, and each refusal with its reason";
        "Verbose" Flag NotNeeded "`level = \"debug\"` in [log], while you look for something";
        "log-min-level" Value Mapped "`level` in [log]";
        "log-binding" Flag NotNeeded "Binding requests are not logged";
        "new-log-timestamp" Flag NotNeeded "log lines have full timestamps";
        "new-log-timestamp-format" Value NotNeeded "log lines have full timestamps";
        "pidfile" Value NotNeeded "systemd knows the process";
        "daemon" Flag NotNeeded "uturn stays in the foreground; systemd has it in the background";
        "proc-user" Value NotNeeded "`User=` in the unit; the key of the certificate has to be readable for it";
        "proc-group" Value NotNeeded "`Group=` in the unit";
        "version" Nothing NotNeeded "uturn --version";
    }
    "Administration": {
        "prometheus" Nothing Mapped "[metrics], with `coturn_names = true`";
        "prometheus-port" Value Mapped "the port in `listen` of [metrics]";
        "prometheus-address" Value Mapped "the address in `listen` of [metrics]; without it 127.0.0.1";
        "prometheus-path" Value Mapped "`path` in [metrics]";
        "prometheus-username-labels" Nothing Decision "there are no labels for user names, which would be without bound; the log has them";
        "prometheus-tls" Flag Decision "metrics are served in the clear: keep them on loopback or a private address, or put a web server before them";
        "prometheus-cert" Value NotNeeded "metrics are served in the clear";
        "prometheus-key" Value NotNeeded "metrics are served in the clear";
        "cli" Flag NotNeeded "`uturn top`, `uturn sessions` and `uturn kick` do its work";
        "cli-ip" Value NotNeeded "there is no command line inside the server";
        "cli-port" Value NotNeeded "there is no command line inside the server";
        "cli-password" Value NotNeeded "there is no command line inside the server";
        "cli-max-output-sessions" Value NotNeeded "there is no command line inside the server";
        "no-cli" Flag NotNeeded "there is no command line inside the server";
        "web-admin" Flag NotNeeded "there is no web interface: everything stands in the configuration";
        "web-admin-ip" Value NotNeeded "there is no web interface";
        "web-admin-port" Value NotNeeded "there is no web interface";
        "web-admin-listen-on-workers" Flag NotNeeded "there is no web interface";
    }
    "Earlier releases": {
        "no-tlsv1" Flag Legacy "TLS 1.0 is not spoken";
        "no-tlsv1_1" Flag Legacy "TLS 1.1 is not spoken";
        "no-sslv2" Flag Legacy "SSL is not spoken";
        "no-sslv3" Flag Legacy "SSL is not spoken";
        "no-stun-backward-compatibility" Flag Legacy "STUN of RFC 3489 is not spoken";
        "no-loopback-peers" Flag Legacy "loopback is denied by default";
        "prod" Flag Legacy "responses name the software to authenticated clients alone: `software` in [turn]";
        "secret-ts-exp-time" Value Legacy "the username of a credential says when it expires";
        "ne" Value Legacy "`udp_backend` in [server] says how datagrams pass";
    }
}
