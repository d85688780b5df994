//! Bytes to types and back, on the `stun` and `turn` crates; stateless.
