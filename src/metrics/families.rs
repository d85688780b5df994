//! Every metric by its name, with what it means: `docs/metrics.md` lists the same.

use super::exposition::{Family, Kind};

macro_rules! families {
    ($( $(#[$doc:meta])* $list:ident { $( $constant:ident: $kind:ident $name:literal, $help:literal; )* } )*) => { $(
        $( pub(super) static $constant: Family = Family {
            name: $name,
            kind: Kind::$kind,
            help: $help,
        }; )*

        $(#[$doc])*
        #[cfg(test)]
        pub(super) static $list: &[&Family] = &[ $( &$constant, )* ];
    )* };
}

families! {
    /// Our own.
    OWN {
        BUILD_INFO: Gauge "uturn_build_info",
            "Always 1; the version is a label.";
        START_TIME: Gauge "process_start_time_seconds",
            "When the server was started, in seconds since 1970.";
        OPEN_FDS: Gauge "process_open_fds",
            "File descriptors that are open: one for each allocation and each connection, and some more.";
        MAX_FDS: Gauge "process_max_fds",
            "File descriptors that may be open.";

        REQUESTS: Counter "uturn_requests_total",
            "Requests handled, by method.";
        SUCCESSES: Counter "uturn_success_responses_total",
            "Success responses sent, by the request's method.";
        ERRORS: Counter "uturn_error_responses_total",
            "Error responses sent, by the request's method and the error code. A 401 begins every session.";
        REFUSALS: Counter "uturn_refusals_total",
            "Requests refused, by realm and by the reason that the log names.";
        AUTHENTICATION_FAILURES: Counter "uturn_authentication_failures_total",
            "Those of the refusals that are about credentials, without the challenge that begins every session.";
        CHALLENGES: Counter "uturn_udp_challenges_total",
            "401 responses over UDP: sent, or withheld because their address has had its share of replies.";
        LIMITS: Counter "uturn_limit_reached_total",
            "How often a limit of the configuration has kept somebody from something. For bandwidth: packets dropped, or reads of a connection put off.";

        ALLOCATIONS: Gauge "uturn_allocations",
            "Allocations that exist, by realm, by the client's transport, by what is relayed, and by the families of their relayed addresses.";
        ALLOCATIONS_LIMIT: Gauge "uturn_allocations_limit",
            "Allocations that may exist.";
        OPENED: Counter "uturn_allocations_opened_total",
            "Allocations opened.";
        ENDED: Counter "uturn_allocations_ended_total",
            "Allocations ended, by why they did.";
        DURATIONS: Histogram "uturn_allocation_duration_seconds",
            "How long the allocations lasted that have ended.";
        PEER_CONNECTIONS: Gauge "uturn_peer_connections",
            "TCP connections with peers that exist (RFC 6062).";

        RELAYED_PACKETS: Counter "uturn_relayed_packets_total",
            "Datagrams relayed, by direction (to_peer, to_client), by the client's transport and the peer's address family.";
        RELAYED_BYTES: Counter "uturn_relayed_bytes_total",
            "Application data relayed, without headers; over TCP connections with peers, too.";
        INTERNAL_PACKETS: Counter "uturn_internal_packets_total",
            "Those of the datagrams to peers whose peer is a client of this server: they meet no socket.";
        INTERNAL_BYTES: Counter "uturn_internal_bytes_total",
            "Application data in them.";
        RECEIVED_PACKETS: Counter "uturn_client_received_packets_total",
            "Messages and ChannelData received from clients, whatever became of them, by transport.";
        RECEIVED_BYTES: Counter "uturn_client_received_bytes_total",
            "Bytes in them, with the headers of STUN and ChannelData and without those beneath.";
        DROPS: Counter "uturn_dropped_packets_total",
            "What was neither relayed nor answered, by direction (to_peer: from clients; to_client: from peers) and reason.";

        LISTENER_KERNEL_DROPS: Counter "uturn_listener_kernel_drops_total",
            "Datagrams from clients that the kernel dropped because the receive buffer of the listener was full.";
        RELAY_KERNEL_DROPS: Counter "uturn_relay_kernel_drops_total",
            "Datagrams from peers that the kernel dropped because the receive buffer of a relay socket was full.";
        NOT_SENT: Counter "uturn_unsent_datagrams_total",
            "Datagrams that the kernel did not take when they were sent.";
        MAILBOX_LOST: Counter "uturn_mailbox_lost_datagrams_total",
            "Datagrams from one worker to another that its mailbox had no room for, by the worker that sent them.";

        CONNECTIONS: Gauge "uturn_connections",
            "Connections of clients (stream: TCP and TLS) and sessions (dtls) that are open.";
        CONNECTIONS_LIMIT: Gauge "uturn_connections_limit",
            "Connections and sessions that may be open.";
        ACCEPTED: Counter "uturn_connections_accepted_total",
            "TCP and TLS connections accepted, by listener.";
        REFUSED: Counter "uturn_connections_refused_total",
            "Connections and sessions refused: too many new ones from an address (rate), too many of it or in all (limit), or the system could not serve them (system).";
        HANDSHAKES: Counter "uturn_handshakes_total",
            "TLS and DTLS handshakes that were finished, or came to nothing.";

        WORKER_UP: Gauge "uturn_worker_up",
            "Whether a worker has answered in time; of one that has not, the last numbers are shown.";
        WORKER_TURNS: Counter "uturn_worker_turns_total",
            "Turns of a worker's loop.";
        WORKER_CPU: Counter "uturn_worker_cpu_seconds_total",
            "CPU time of a worker's thread: its rate is the worker's load, 1 is all of a core.";

        PORTS: Gauge "uturn_relay_ports",
            "Ports that relayed addresses are taken from, by relay address. UDP and TCP relaying share them.";
        PORTS_USED: Gauge "uturn_relay_ports_used",
            "Those that are taken or reserved.";

        CERTIFICATE_END: Gauge "uturn_certificate_not_after_seconds",
            "When a certificate ends, in seconds since 1970, by its file.";
        CREDENTIALS: Counter "uturn_credentials_issued_total",
            "Credentials that the HTTP interface has issued, by the name of the API key or token key.";
        EVENTS_PASSED_ON: Counter "uturn_events_passed_on_total",
            "Events, and lines of usage, that were written to a file or that a webhook has taken, by sink and the webhook's name.";
        EVENTS_LOST: Counter "uturn_events_lost_total",
            "Events that were not, because a queue was full, a file could not be written or a webhook did not take them. Sink queue: before they reached any.";
        EVENTS_QUEUED: Gauge "uturn_events_queued",
            "Events that wait to be written or sent.";
        WEBHOOK_DELIVERIES: Counter "uturn_webhook_deliveries_total",
            "Deliveries, of up to 100 events each, that a webhook has taken, or that were given up.";
        WEBHOOK_RETRIES: Counter "uturn_webhook_retries_total",
            "Attempts at a delivery after the first one.";
    }

    /// Coturn's.
    COTURN {
        STUN_REQUEST: Counter "stun_binding_request",
            "Binding requests.";
        STUN_RESPONSE: Counter "stun_binding_response",
            "Binding success responses.";
        STUN_ERROR: Counter "stun_binding_error",
            "Binding error responses.";
        TURN_401_REQUESTS: Counter "turn_unauthenticated_401_requests",
            "Requests over UDP that a 401 response is for.";
        TURN_401_RESPONSES: Counter "turn_unauthenticated_401_responses",
            "401 responses sent over UDP.";
        TURN_401_DROPPED: Counter "turn_unauthenticated_401_dropped_responses",
            "401 responses over UDP not sent, because their address has had its share.";
        TRAFFIC_RCVP: Counter "turn_traffic_rcvp",
            "Packets of data from clients, as they are relayed.";
        TRAFFIC_RCVB: Counter "turn_traffic_rcvb",
            "Bytes of data from clients, as they are relayed.";
        TRAFFIC_SENTP: Counter "turn_traffic_sentp",
            "Packets of data to clients, as they are relayed.";
        TRAFFIC_SENTB: Counter "turn_traffic_sentb",
            "Bytes of data to clients, as they are relayed.";
        PEER_RCVP: Counter "turn_traffic_peer_rcvp",
            "Packets of data from peers, as they are relayed.";
        PEER_RCVB: Counter "turn_traffic_peer_rcvb",
            "Bytes of data from peers, as they are relayed.";
        PEER_SENTP: Counter "turn_traffic_peer_sentp",
            "Packets of data to peers, as they are relayed.";
        PEER_SENTB: Counter "turn_traffic_peer_sentb",
            "Bytes of data to peers, as they are relayed.";
        TOTAL_RCVP: Counter "turn_total_traffic_rcvp",
            "turn_traffic_rcvp over all realms.";
        TOTAL_RCVB: Counter "turn_total_traffic_rcvb",
            "turn_traffic_rcvb over all realms.";
        TOTAL_SENTP: Counter "turn_total_traffic_sentp",
            "turn_traffic_sentp over all realms.";
        TOTAL_SENTB: Counter "turn_total_traffic_sentb",
            "turn_traffic_sentb over all realms.";
        TOTAL_PEER_RCVP: Counter "turn_total_traffic_peer_rcvp",
            "turn_traffic_peer_rcvp over all realms.";
        TOTAL_PEER_RCVB: Counter "turn_total_traffic_peer_rcvb",
            "turn_traffic_peer_rcvb over all realms.";
        TOTAL_PEER_SENTP: Counter "turn_total_traffic_peer_sentp",
            "turn_traffic_peer_sentp over all realms.";
        TOTAL_PEER_SENTB: Counter "turn_total_traffic_peer_sentb",
            "turn_traffic_peer_sentb over all realms.";
        TOTAL_ALLOCATIONS: Gauge "turn_total_allocations",
            "Allocations that exist, by the client's transport as coturn calls it.";
        PACKET_PROCESSED: Counter "turn_packet_processed",
            "Datagrams from clients that were STUN or ChannelData.";
        PACKET_DROPPED: Counter "turn_packet_dropped",
            "Messages from clients that were neither.";
    }
}
