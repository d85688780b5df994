//! How coturn's file is read, trap by trap, and a corpus of whole files.

mod corpus;
mod options;
mod traps;
