//! The configuration file: from text to each module's `Settings`.
