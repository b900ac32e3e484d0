//! What replicas say to each other, and a session between two of them as a state machine: no sockets, no clock, no random number.
//! [`session`] says when what is said, [`wire`] how it looks as bytes, [`content`] how bytes of files are asked for.
//! `docs/PROTOCOL.md` says the same in words. Two replicas of one program pass nodes by reference, and need no bytes.

pub mod content;
pub mod session;
pub mod wire;

pub use session::{Answer, Complete, Handled, Message, Refused, Session};
