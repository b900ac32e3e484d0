//! Between devices: who one is ([`identity`]), who belongs to a folder ([`roster`]), how one is let in ([`ticket`]), and the
//! connections ([`link`]), over QUIC by iroh: dialled by public key, directly where that goes, else through a relay, which sees nothing but
//! sealed packets. What is said is in `bifold-protocol`.

pub mod identity;
pub mod keyring;
pub mod limits;
pub mod link;
pub mod membership;
pub mod roster;
pub mod ticket;

pub use identity::{DeviceId, Identity};
pub use iroh::{PublicKey, SecretKey};
