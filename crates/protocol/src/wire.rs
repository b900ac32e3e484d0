//! Packets as bytes, on the one stream of control that two devices have. A frame is its length (four bytes, the lowest first,
//! at most [`MAX_FRAME_BYTES`]) and so many bytes: a [`Packet`]. What comes from a peer is checked before memory is taken for it.

use crate::session::{Complete, Message};
use bifold_chunk::{Packer, Packing, UnpackError, unpack};
use bifold_tree::Node;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The version of the protocol that this program speaks. Peers with another one are told so, and nothing else.
pub const VERSION: u16 = 1;
/// The name under which the protocol is asked for when a connection is made.
pub const ALPN: &[u8] = b"bifold/1";
/// Most bytes in a frame.
pub const MAX_FRAME_BYTES: usize = 2 << 20;
/// Most bytes in a frame of someone of whom it is not known yet whether it belongs to any folder, but for a word on membership.
pub const MAX_STRANGERS_FRAME_BYTES: usize = 4 << 10;
/// Most bytes of nodes in a frame, unpacked.
pub const MAX_NODES_BYTES: usize = 2 << 20;
/// Most nodes in a frame.
pub const MAX_NODES: usize = 16 << 10;
/// So many bytes of nodes are put into one frame, unless one node alone has more.
const NODES_BYTES: usize = 256 << 10;
/// Most bytes in a name or reason that a person reads.
pub const MAX_TEXT_BYTES: usize = 1 << 10;
/// Most bytes of what `net` says to itself in a packet: rosters, invitations.
pub const MAX_OPAQUE_BYTES: usize = 1 << 20;

/// A folder's id on the wire, equal on all devices.
pub type FolderNumber = u64;

/// What is said on the stream of control.
#[derive(Clone, Debug, PartialEq)]
pub enum Packet {
    /// The first one, both ways.
    Hello(Hello),
    /// The speaker wants to be let into a folder: it shows an invitation's secret.
    Join {
        /// The secret.
        secret: [u8; 16],
        /// What the speaker's device is called.
        name: String,
    },
    /// The other is let in; on membership more follows.
    Admitted {
        /// Into which folder.
        folder: FolderNumber,
    },
    /// The other is not let in.
    Rejected {
        /// Why, for a person.
        reason: String,
    },
    /// On membership: signed by whom it concerns, and understood by the room that makes connections.
    Membership {
        /// Of which folder.
        folder: FolderNumber,
        /// What.
        bytes: Vec<u8>,
    },
    /// A session's message.
    Session {
        /// Of which folder.
        folder: FolderNumber,
        /// What.
        message: Message,
    },
    /// The speaker has this folder no more, or not for the other.
    Close {
        /// Which.
        folder: FolderNumber,
        /// Why, for a person.
        reason: String,
    },
    /// Is the other still there?
    Ping(u64),
    /// It is.
    Pong(u64),
    /// The last one.
    Goodbye {
        /// Why, for the program.
        code: Farewell,
        /// Why, for a person.
        reason: String,
    },
}

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Farewell {
    /// The program ends.
    Stopping,
    /// The versions do not go together.
    Version,
    /// There is another connection between the two.
    Duplicate,
    /// Another device that is connected has the same key.
    Cloned,
    /// The two have no folder in common.
    Strangers,
    /// The other did not keep to the protocol.
    Protocol,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocol, [`VERSION`].
    pub version: u16,
    /// A random number that the speaker drew when its program started: two programs with one key are told apart by it.
    pub run: u64,
    /// The program and its version, for people.
    pub program: String,
}

/// Why bytes are no packet. The connection is then closed with this as the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Longer than allowed.
    #[error("the other side sent {what} of {bytes} bytes, more than the {limit} allowed")]
    TooLong {
        /// What.
        what: &'static str,
        /// How long.
        bytes: usize,
        /// At most.
        limit: usize,
    },
    /// Not what the protocol allows.
    #[error("the other side sent a packet that cannot be read ({0})")]
    Malformed(&'static str),
    /// Packed bytes that cannot be unpacked.
    #[error("the other side sent packed bytes that cannot be unpacked ({0})")]
    Unpack(#[from] UnpackError),
    /// One of our own that cannot be sent.
    #[error("a change of {bytes} bytes is too large to be sent")]
    CannotSend {
        /// How large.
        bytes: usize,
    },
}

/// A packet's head, as postcard has it; after it come the packed nodes, if there are any.
#[derive(Serialize, Deserialize)]
enum Head {
    Hello(Hello),
    Join {
        secret: [u8; 16],
        name: String,
    },
    Admitted {
        folder: FolderNumber,
    },
    Rejected {
        reason: String,
    },
    Membership {
        folder: FolderNumber,
        bytes: Vec<u8>,
    },
    /// Of a session, all but nodes.
    Plain {
        folder: FolderNumber,
        message: Message,
    },
    Records {
        folder: FolderNumber,
        packing: Packing,
        complete: Option<Complete>,
    },
    Close {
        folder: FolderNumber,
        reason: String,
    },
    Ping(u64),
    Pong(u64),
    Goodbye {
        code: Farewell,
        reason: String,
    },
}

/// How postcard begins a [`Head::Membership`]: the fifth of them.
const MEMBERSHIP: u8 = 4;

/// The length in a frame's first four bytes.
///
/// # Errors
/// If no frame can be so long, or it is empty.
pub fn frame_length(bytes: [u8; 4]) -> Result<usize, WireError> {
    let length = u32::from_le_bytes(bytes) as usize;
    match length {
        0 => Err(WireError::Malformed("an empty frame")),
        1..=MAX_FRAME_BYTES => Ok(length),
        _ => Err(too_long("a frame", length, MAX_FRAME_BYTES)),
    }
}

fn too_long(what: &'static str, bytes: usize, limit: usize) -> WireError {
    WireError::TooLong { what, bytes, limit }
}

/// Makes frames of packets: of most one, of one with many nodes several.
#[derive(Debug, Default)]
pub struct Encoder {
    packer: Packer,
}

impl Encoder {
    /// Passes the frames of a packet on, each with its length before it.
    ///
    /// # Errors
    /// If it is too large to be sent, and what `send` says.
    pub fn encode<E: From<WireError>>(
        &mut self,
        packet: &Packet,
        send: &mut dyn FnMut(Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let head = match packet {
            Packet::Session {
                folder,
                message: Message::Records { nodes, complete },
            } => return self.encode_nodes(*folder, nodes, complete.as_ref(), send),
            Packet::Session { folder, message } => Head::Plain {
                folder: *folder,
                message: message.clone(),
            },
            Packet::Hello(hello) => Head::Hello(hello.clone()),
            Packet::Membership { folder, bytes } => Head::Membership {
                folder: *folder,
                bytes: bytes.clone(),
            },
            Packet::Close { folder, reason } => Head::Close {
                folder: *folder,
                reason: reason.clone(),
            },
            Packet::Join { secret, name } => Head::Join {
                secret: *secret,
                name: name.clone(),
            },
            Packet::Admitted { folder } => Head::Admitted { folder: *folder },
            Packet::Rejected { reason } => Head::Rejected { reason: reason.clone() },
            Packet::Ping(n) => Head::Ping(*n),
            Packet::Pong(n) => Head::Pong(*n),
            Packet::Goodbye { code, reason } => Head::Goodbye {
                code: *code,
                reason: reason.clone(),
            },
        };
        send(frame(&head, &[])?)
    }

    fn encode_nodes<E: From<WireError>>(
        &mut self,
        folder: FolderNumber,
        nodes: &[Arc<Node>],
        complete: Option<&Complete>,
        send: &mut dyn FnMut(Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = nodes;
        loop {
            let mut bytes = Vec::new();
            let mut count = 0;
            while count < rest.len() && count < MAX_NODES && bytes.len() < NODES_BYTES {
                bytes = to_bytes(rest[count].as_ref(), bytes)?;
                count += 1;
            }
            rest = &rest[count..];
            if bytes.len() > MAX_NODES_BYTES {
                return Err(WireError::CannotSend { bytes: bytes.len() }.into());
            }
            let packed = self.packer.pack(&bytes);
            let head = Head::Records {
                folder,
                packing: packed.packing,
                complete: complete.filter(|_| rest.is_empty()).cloned(),
            };
            send(frame(&head, &packed.bytes)?)?;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }
}

fn to_bytes<T: Serialize>(value: &T, into: Vec<u8>) -> Result<Vec<u8>, WireError> {
    postcard::to_extend(value, into).map_err(|_| WireError::Malformed("what cannot be written"))
}

fn frame(head: &Head, tail: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut bytes = to_bytes(head, vec![0; 4])?;
    bytes.extend_from_slice(tail);
    let length = bytes.len() - 4;
    if length > MAX_FRAME_BYTES {
        return Err(WireError::CannotSend { bytes: length });
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}

/// The packet in a frame, without the frame's length, of someone who is known to belong to a folder, or not: then nothing is unpacked, and
/// little memory taken.
///
/// # Errors
/// Whatever is not just a packet, or not for a stranger to say.
pub fn decode(frame: &[u8], known: bool) -> Result<Packet, WireError> {
    if frame.len() > MAX_FRAME_BYTES {
        return Err(too_long("a frame", frame.len(), MAX_FRAME_BYTES));
    }
    if !known && frame.len() > MAX_STRANGERS_FRAME_BYTES && frame[0] != MEMBERSHIP {
        return Err(too_long("a stranger's frame", frame.len(), MAX_STRANGERS_FRAME_BYTES));
    }
    let (head, tail) = postcard::take_from_bytes::<Head>(frame).map_err(|_| WireError::Malformed("not a packet"))?;
    let packet = match head {
        Head::Records {
            folder,
            packing,
            complete,
        } => {
            if !known {
                return Err(WireError::Malformed("a stranger's nodes"));
            }
            let nodes = decode_nodes(packing, tail)?;
            return Ok(Packet::Session {
                folder,
                message: Message::Records { nodes, complete },
            });
        }
        Head::Plain {
            message: Message::Records { .. },
            ..
        } => return Err(WireError::Malformed("nodes that are not packed")),
        Head::Plain { folder, message } => Packet::Session { folder, message },
        Head::Hello(hello) => {
            checked_text(&hello.program)?;
            Packet::Hello(hello)
        }
        Head::Join { secret, name } => {
            checked_text(&name)?;
            Packet::Join { secret, name }
        }
        Head::Admitted { folder } => Packet::Admitted { folder },
        Head::Rejected { reason } => {
            checked_text(&reason)?;
            Packet::Rejected { reason }
        }
        Head::Ping(n) => Packet::Ping(n),
        Head::Pong(n) => Packet::Pong(n),
        Head::Membership { folder, bytes } => {
            if bytes.len() > MAX_OPAQUE_BYTES {
                return Err(too_long("a word on membership", bytes.len(), MAX_OPAQUE_BYTES));
            }
            Packet::Membership { folder, bytes }
        }
        Head::Close { folder, reason } => {
            checked_text(&reason)?;
            Packet::Close { folder, reason }
        }
        Head::Goodbye { code, reason } => {
            checked_text(&reason)?;
            Packet::Goodbye { code, reason }
        }
    };
    if tail.is_empty() {
        Ok(packet)
    } else {
        Err(WireError::Malformed("more than a packet"))
    }
}

fn checked_text(text: &str) -> Result<(), WireError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(too_long("a text", text.len(), MAX_TEXT_BYTES));
    }
    Ok(())
}

fn decode_nodes(packing: Packing, packed: &[u8]) -> Result<Vec<Arc<Node>>, WireError> {
    let bytes = unpack(packing, packed, MAX_NODES_BYTES)?;
    let mut rest: &[u8] = &bytes;
    let mut nodes = Vec::new();
    while !rest.is_empty() {
        let (node, tail) = postcard::take_from_bytes::<Node>(rest).map_err(|_| WireError::Malformed("not a node"))?;
        if nodes.len() == MAX_NODES {
            return Err(too_long("nodes in a frame", nodes.len() + 1, MAX_NODES));
        }
        nodes.push(Arc::new(node));
        rest = tail;
    }
    Ok(nodes)
}
