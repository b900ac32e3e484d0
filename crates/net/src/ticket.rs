//! Tickets: what lets a device in. A ticket names a device and carries a secret that this device gave out; what the secret is good for, how
//! often and how long, that device knows. As text it is of letters and digits that are not mistaken for each other (Crockford's base 32), with
//! a checksum: it can be read aloud, typed, pasted, opened as a link, or scanned.

use crate::identity::DeviceId;
use crate::membership::Addresses;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Links begin with this.
pub const LINK: &str = "bifold:join/";
/// Longest text that is looked at.
const MAX_TEXT: usize = 2048;
/// Most addresses in a ticket.
const MAX_ADDRESSES: usize = 6;
const VERSION: u8 = 1;
const CHECKSUM: usize = 4;
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What is known only to who gives a ticket out, and who holds it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub [u8; 16]);

impl Secret {
    /// What is kept of it where it was given out: not the secret itself.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        blake3::derive_key("bifold 2026 invitation secret", &self.0)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// A ticket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// Who gave it out.
    pub device: DeviceId,
    /// What to show there.
    pub secret: Secret,
    /// Where that device was then.
    pub addresses: Addresses,
}

/// Why a text is no ticket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TicketError {
    /// It has other characters, or is too short or long.
    #[error("this is not a ticket: paste the whole line that `bifold invite` printed")]
    NotATicket,
    /// Something in it is not as it was.
    #[error("this ticket has a mistake in it, or a part is missing: paste the whole line that `bifold invite` printed")]
    Mistake,
    /// Made by a newer program.
    #[error("this ticket was made by a newer Bifold: update this one first")]
    Newer,
}

#[derive(Serialize, Deserialize)]
struct Body {
    device: [u8; 32],
    secret: [u8; 16],
    ip: Vec<SocketAddr>,
    relay: Option<String>,
}

impl Ticket {
    /// As text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let body = Body {
            device: self.device.0,
            secret: self.secret.0,
            ip: self.addresses.ip.iter().take(MAX_ADDRESSES).copied().collect(),
            relay: self.addresses.relay.clone(),
        };
        // A struct of bytes, numbers and text can always be written.
        let mut bytes = postcard::to_extend(&body, vec![VERSION]).unwrap_or_default();
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        encode(&bytes)
    }

    /// As a link.
    #[must_use]
    pub fn to_link(&self) -> String {
        format!("{LINK}{}", self.to_text())
    }

    /// From text or a link; blanks and dashes do not count, nor whether letters are large or small.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Ticket, TicketError> {
        let text = text.trim();
        let text = match text.get(..LINK.len()) {
            Some(start) if start.eq_ignore_ascii_case(LINK) => &text[LINK.len()..],
            _ => text,
        };
        let bytes = decode(text).ok_or(TicketError::NotATicket)?;
        let (&version, _) = bytes.split_first().ok_or(TicketError::NotATicket)?;
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(TicketError::NotATicket)?;
        if checksum(body) != *sum {
            return Err(TicketError::Mistake);
        }
        if version != VERSION {
            return Err(TicketError::Newer);
        }
        let (body, rest) = postcard::take_from_bytes::<Body>(&body[1..]).map_err(|_| TicketError::Mistake)?;
        if !rest.is_empty() || body.ip.len() > MAX_ADDRESSES {
            return Err(TicketError::Mistake);
        }
        Ok(Ticket {
            device: DeviceId(body.device),
            secret: Secret(body.secret),
            addresses: Addresses {
                ip: body.ip,
                relay: body.relay,
            },
        })
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let hash = blake3::derive_key("bifold 2026 ticket checksum", bytes);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&hash[..CHECKSUM]);
    sum
}

/// Five bits a digit, the highest first; the last digit is filled with zeros.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut bits, mut have) = (0u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        have += 8;
        while have >= 5 {
            have -= 5;
            text.push(char::from(DIGITS[(bits >> have & 31) as usize]));
        }
    }
    if have > 0 {
        text.push(char::from(DIGITS[(bits << (5 - have) & 31) as usize]));
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut bytes = Vec::new();
    let (mut bits, mut have) = (0u32, 0);
    for c in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let digit = match c.to_ascii_lowercase() {
            'o' => b'0',
            'i' | 'l' => b'1',
            c if c.is_ascii() => c as u8,
            _ => return None,
        };
        let value = DIGITS.iter().position(|d| *d == digit)?;
        bits = (bits << 5 | value as u32) & 0xfff;
        have += 5;
        if have >= 8 {
            have -= 8;
            bytes.push((bits >> have) as u8);
        }
    }
    Some(bytes)
}
