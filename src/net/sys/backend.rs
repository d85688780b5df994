//! How datagrams pass between the process and the kernel.

/// The calls by which datagrams are received and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Many datagrams a call, joined and cut by the kernel where it can: Linux.
    Batched,
    /// One datagram a call: every Unix.
    Plain,
}

impl Backend {
    /// The better one of those that work here.
    pub fn best() -> Self {
        if Self::Batched.works() {
            Self::Batched
        } else {
            Self::Plain
        }
    }

    /// Whether the kernel has the calls, and lets us use them: a filter of system calls may not.
    pub fn works(self) -> bool {
        match self {
            Self::Plain => true,
            Self::Batched => super::batched::work(),
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Batched => "batched",
            Self::Plain => "plain",
        }
    }
}
