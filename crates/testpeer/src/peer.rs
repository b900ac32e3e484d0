//! A device that keeps to the protocol as far as a test wants it to, and no further. It dials real ones, on the loopback interface.

use bifold_chunk::Packing;
use bifold_net::membership::{Addresses, Known, Membership, ReplicaName};
use bifold_net::roster::{Entry, Roster};
use bifold_net::ticket::Ticket;
use bifold_net::{DeviceId, SecretKey};
use bifold_protocol::content::{ItemHead, Request};
use bifold_protocol::wire::{ALPN, Encoder, Farewell, Hello, Packet, VERSION, WireError, decode, frame_length};
use bifold_protocol::{Complete, Message};
use bifold_tree::{Content, ContentId, Dot, Kind, Node, NodeId, Place, ReplicaId, Vector};
use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt, presets};
use iroh::{Endpoint, EndpointAddr, RelayMode};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// What is to come comes within this time, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A device that may say anything.
pub struct Rogue {
    runtime: Runtime,
    endpoint: Endpoint,
    key: SecretKey,
    /// The number of its run: one for all its connections.
    pub run: u64,
}

impl Rogue {
    /// With a key made of a number.
    #[must_use]
    pub fn new(seed: u8) -> Rogue {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let key = SecretKey::from_bytes(&[seed; 32]);
        let endpoint = runtime.block_on(async {
            let builder = Endpoint::builder(presets::Minimal)
                .secret_key(key.clone())
                .relay_mode(RelayMode::Disabled)
                .clear_ip_transports()
                .bind_addr(std::net::SocketAddr::from(([127, 0, 0, 1], 0)))
                .unwrap();
            builder.bind().await.unwrap()
        });
        Rogue {
            runtime,
            endpoint,
            key,
            run: u64::from(seed) + 1,
        }
    }

    /// Its id.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId::of(&self.key.public())
    }

    /// Its key, to sign with.
    #[must_use]
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Dials a device, and opens the stream of control. Nothing is said on it.
    #[must_use]
    pub fn dial(&self, ticket: &Ticket) -> Wire<'_> {
        self.try_dial(ticket).expect("the device cannot be reached")
    }

    /// The same, where it may be that it does not answer.
    #[must_use]
    pub fn try_dial(&self, ticket: &Ticket) -> Option<Wire<'_>> {
        let mut addr = EndpointAddr::new(ticket.device.key()?);
        for ip in &ticket.addresses.ip {
            addr = addr.with_ip_addr(*ip);
        }
        let dialling = async {
            let connection = self.endpoint.connect(addr, ALPN).await.ok()?;
            let (send, recv) = connection.open_bi().await.ok()?;
            Some((connection, send, recv))
        };
        let dialled = self.runtime.block_on(async { timeout(PATIENCE, dialling).await });
        let (connection, send, recv) = dialled.ok().flatten()?;
        Some(Wire {
            rogue: self,
            connection,
            send,
            recv,
        })
    }

    /// Dials a device and says hello, as one should.
    #[must_use]
    pub fn meet(&self, ticket: &Ticket) -> Wire<'_> {
        let mut wire = self.dial(ticket);
        assert!(wire.say(&self.hello()));
        let heard = wire.hear();
        assert!(matches!(heard, Some(Packet::Hello(_))), "{heard:?}");
        wire
    }

    /// What it says first.
    #[must_use]
    pub fn hello(&self) -> Packet {
        Packet::Hello(Hello {
            version: VERSION,
            run: self.run,
            program: "rogue".into(),
        })
    }

    /// Joins a folder with a ticket, as one should, up to where the session is to begin.
    #[must_use]
    pub fn join(&self, ticket: &Ticket) -> (Wire<'_>, Member) {
        let mut wire = self.meet(ticket);
        let member = wire.join(ticket).expect("not let in");
        wire.introduce(&member);
        (wire, member)
    }

    /// Comes again as a member, up to where the session is to begin.
    #[must_use]
    pub fn come(&self, ticket: &Ticket, member: &mut Member) -> Wire<'_> {
        let mut wire = self.meet(ticket);
        let told = wire.hear_until(|p| matches!(p, Packet::Membership { folder, .. } if *folder == member.folder));
        let Some(Packet::Membership { bytes, .. }) = told else {
            panic!("it is not told of the folder");
        };
        let told = Membership::decode(&bytes).unwrap();
        member.roster.merge(told.entries).unwrap();
        wire.introduce(member);
        wire
    }
}

/// What it is a member of.
#[derive(Clone, Debug)]
pub struct Member {
    /// The folder's number.
    pub folder: u64,
    /// Its roster.
    pub roster: Roster,
    /// Its own replica.
    pub replica: ReplicaName,
    /// All that is known of the devices, as it was told.
    pub known: Vec<Known>,
    /// Its device.
    pub device: DeviceId,
}

impl Member {
    /// The id of its replica.
    #[must_use]
    pub fn id(&self) -> ReplicaId {
        ReplicaId(self.replica.id)
    }

    /// The replica of another device, as far as it was told.
    #[must_use]
    pub fn replica_of(&self, device: DeviceId) -> Option<ReplicaId> {
        let known = self.known.iter().find(|known| known.device == device)?;
        Some(ReplicaId(known.replicas.first()?.id))
    }

    /// What it says of the folder, with other entries too.
    #[must_use]
    pub fn membership(&self, more: &[Entry]) -> Membership {
        let own = Known {
            device: self.device,
            replicas: vec![self.replica],
            addresses: Addresses::default(),
        };
        Membership {
            name: "team".into(),
            root: self.roster.root(),
            entries: self.roster.entries().chain(more).cloned().collect(),
            known: vec![own],
            asks: false,
        }
    }

    /// The same as a packet.
    #[must_use]
    pub fn packet(&self, membership: &Membership) -> Packet {
        Packet::Membership {
            folder: self.folder,
            bytes: membership.encode().unwrap(),
        }
    }

    /// A session's packet.
    #[must_use]
    pub fn session(&self, message: Message) -> Packet {
        Packet::Session {
            folder: self.folder,
            message,
        }
    }

    /// An offer of nothing.
    #[must_use]
    pub fn offer(&self) -> Message {
        Message::Offer {
            replica: self.id(),
            joining: false,
            have: Vector::default(),
            heard: BTreeMap::new(),
        }
    }

    /// Nodes, and that these are all.
    #[must_use]
    pub fn records(&self, nodes: Vec<Node>) -> Packet {
        let latest = nodes.iter().map(|node| node.known(self.id())).max().unwrap_or(0);
        let have = Vector(BTreeMap::from([(self.id(), latest)]));
        self.session(Message::Records {
            complete: Some(Complete {
                sequence: nodes.len() as u64,
                acks: BTreeMap::from([(self.id(), have.clone())]),
                have,
            }),
            nodes: nodes.into_iter().map(Arc::new).collect(),
        })
    }

    /// A node of its own.
    #[must_use]
    pub fn node(&self, time: u64, index: u32, parent: NodeId, name: &str, content: Content) -> Node {
        let dot = Dot {
            time,
            replica: self.id(),
        };
        let kind = match content {
            Content::Dir => Kind::Dir,
            Content::File { .. } => Kind::File,
            Content::Link { .. } => Kind::Link,
        };
        let mut node = Node::unwritten(NodeId { dot, index }, kind, 0);
        node.context.push((dot.replica, time));
        let name = name.into();
        node.places.push((dot, Place { parent, name }));
        node.contents.push((dot, content));
        node
    }

    /// A file of its own in the root.
    #[must_use]
    pub fn file(&self, time: u64, index: u32, name: &str, bytes: &[u8]) -> Node {
        self.node(time, index, NodeId::ROOT, name, content(bytes))
    }
}

/// What a node says of a small file.
#[must_use]
pub fn content(bytes: &[u8]) -> Content {
    Content::File {
        id: ContentId(bifold_chunk::ChunkId::of(bytes).0),
        size: bytes.len() as u64,
        mtime_ns: 1_700_000_000_000_000_000,
        base: None,
    }
}

/// What to answer a request with.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// These bytes, and no end.
    Open(Vec<u8>),
    /// Some bytes, then others again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// The stream is reset.
    Reset,
}

impl Reply {
    /// Items, one for each.
    #[must_use]
    pub fn items(items: &[&[u8]]) -> Reply {
        Reply::Bytes(items.iter().flat_map(|bytes| item(Packing::Plain, bytes)).collect())
    }
}

/// An item, as bytes.
#[must_use]
pub fn item(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    let head = ItemHead::Bytes {
        packing,
        length: bytes.len() as u32,
    };
    [&head.encode()[..], bytes].concat()
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// What the other said last, if it said goodbye.
    pub farewell: Option<(Farewell, String)>,
}

/// A connection of a [`Rogue`], with its stream of control.
pub struct Wire<'a> {
    rogue: &'a Rogue,
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
}

impl Wire<'_> {
    /// Says some bytes. False if they are not taken any more.
    pub fn say_bytes(&mut self, bytes: &[u8]) -> bool {
        let Wire { rogue, send, .. } = self;
        let said = rogue
            .runtime
            .block_on(async { timeout(PATIENCE, send.write_all(bytes)).await });
        matches!(said, Ok(Ok(())))
    }

    /// Says a frame: its length, and its bytes.
    pub fn say_frame(&mut self, frame: &[u8]) -> bool {
        let bytes = [&(frame.len() as u32).to_le_bytes(), frame].concat();
        self.say_bytes(&bytes)
    }

    /// Says a packet.
    pub fn say(&mut self, packet: &Packet) -> bool {
        let mut bytes = Vec::new();
        for frame in frames(packet) {
            bytes.extend(frame);
        }
        self.say_bytes(&bytes)
    }

    /// The next packet; nothing if there comes none any more.
    pub fn hear(&mut self) -> Option<Packet> {
        let Wire { rogue, recv, .. } = self;
        let heard = rogue.runtime.block_on(async {
            timeout(PATIENCE, async {
                let mut length = [0; 4];
                recv.read_exact(&mut length).await.ok()?;
                let mut frame = vec![0; frame_length(length).unwrap()];
                recv.read_exact(&mut frame).await.ok()?;
                Some(decode(&frame, true).unwrap())
            })
            .await
        });
        heard.unwrap_or_else(|_| panic!("it says nothing, and does not end"))
    }

    /// The next packet that is as wanted; nothing if it ends before.
    pub fn hear_until(&mut self, wanted: impl Fn(&Packet) -> bool) -> Option<Packet> {
        loop {
            let heard = self.hear()?;
            if let Packet::Ping(n) = heard {
                self.say(&Packet::Pong(n));
            }
            if wanted(&heard) {
                return Some(heard);
            }
        }
    }

    /// Whether the other is there and understands what is said now: it answers a ping.
    pub fn is_heard(&mut self) -> bool {
        let number = 0xb1f0;
        self.say(&Packet::Ping(number)) && self.hear_until(|p| *p == Packet::Pong(number)).is_some()
    }

    /// Waits until the other ends the connection, and says with what words.
    pub fn ended(&mut self) -> Ended {
        let last = self.hear_until(|p| matches!(p, Packet::Goodbye { .. }));
        Ended {
            farewell: match last {
                Some(Packet::Goodbye { code, reason }) => Some((code, reason)),
                _ => None,
            },
        }
    }

    /// Waits until the other ends the connection because this one did not keep to the protocol; says with what words.
    pub fn refused(&mut self, what: &str) -> String {
        match self.ended().farewell {
            Some((Farewell::Protocol, reason)) => reason,
            other => panic!("{what}: it ended with {other:?}"),
        }
    }

    /// Waits until the session has begun at the other end: it offers.
    pub fn hear_offer(&mut self, member: &Member) -> Message {
        let offer =
            |p: &Packet| matches!(p, Packet::Session { folder, message: Message::Offer { .. } } if *folder == member.folder);
        match self.hear_until(offer) {
            Some(Packet::Session { message, .. }) => message,
            other => panic!("no session: {other:?}"),
        }
    }

    /// Shows a ticket. The reason why not, if it is not let in.
    ///
    /// # Errors
    /// What the other says.
    pub fn join(&mut self, ticket: &Ticket) -> Result<Member, String> {
        let secret = ticket.secret.0;
        let name = "mallory".into();
        self.say(&Packet::Join { secret, name });
        let heard = self.hear_until(|p| matches!(p, Packet::Admitted { .. } | Packet::Rejected { .. } | Packet::Goodbye { .. }));
        let folder = match heard {
            Some(Packet::Admitted { folder }) => folder,
            Some(Packet::Rejected { reason } | Packet::Goodbye { reason, .. }) => return Err(reason),
            other => return Err(format!("{other:?}")),
        };
        let Some(Packet::Membership { bytes, .. }) = self.hear_until(|p| matches!(p, Packet::Membership { .. })) else {
            return Err("nothing on membership".into());
        };
        let told = Membership::decode(&bytes).unwrap();
        let mut roster = Roster::joined(folder, told.root);
        roster.merge(told.entries).unwrap();
        let device = self.rogue.device();
        Ok(Member {
            folder,
            roster,
            replica: ReplicaName::new(device, folder, 1),
            known: told.known,
            device,
        })
    }

    /// Says of which replica it speaks, as one should.
    pub fn introduce(&mut self, member: &Member) {
        let packet = member.packet(&member.membership(&[]));
        assert!(self.say(&packet));
    }

    /// Introduces itself, and begins a session, as one should.
    pub fn begin(&mut self, member: &Member) {
        self.hear_offer(member);
        assert!(self.say(&member.session(member.offer())));
    }

    /// Answers what the other asks for on this connection, from now on.
    pub fn answer(&self, reply: impl Fn(Request) -> Reply + Send + Sync + 'static) {
        let connection = self.connection.clone();
        let reply = Arc::new(reply);
        self.rogue.runtime.spawn(async move {
            while let Ok((send, recv)) = connection.accept_bi().await {
                let reply = reply.clone();
                tokio::spawn(async move {
                    answer_one(send, recv, reply.as_ref()).await;
                });
            }
        });
    }

    /// Asks with these bytes; the whole answer, as bytes. Nothing if none comes to an end.
    #[must_use]
    pub fn ask(&self, request: &[u8]) -> Option<Vec<u8>> {
        let asking = async {
            let (mut send, mut recv) = self.connection.open_bi().await.ok()?;
            send.write_all(request).await.ok()?;
            send.finish().ok()?;
            recv.read_to_end(64 << 20).await.ok()
        };
        let asked = self.rogue.runtime.block_on(async { timeout(PATIENCE, asking).await });
        asked.ok().flatten()
    }

    /// Opens a stream, says these bytes on it, and leaves it open. Nothing is ever read from it.
    #[must_use]
    pub fn leave_open(&self, request: &[u8], finish: bool) -> Option<(SendStream, RecvStream)> {
        let opening = async {
            let (mut send, recv) = self.connection.open_bi().await.ok()?;
            send.write_all(request).await.ok()?;
            if finish {
                send.finish().ok()?;
            }
            Some((send, recv))
        };
        let opened = self
            .rogue
            .runtime
            .block_on(async { timeout(Duration::from_secs(3), opening).await });
        opened.ok().flatten()
    }

    /// Says that it says no more on the stream of control; the connection stays.
    pub fn half_close(&mut self) {
        let _ = self.send.finish();
    }

    /// Ends the connection without a word.
    pub fn close(self) {
        self.connection.close(VarInt::from_u32(0), b"");
        // So that the other hears of it before the next one is dialled.
        let connection = self.connection.clone();
        self.rogue.runtime.block_on(async {
            connection.closed().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        });
    }
}

async fn answer_one(mut send: SendStream, mut recv: RecvStream, reply: &(impl Fn(Request) -> Reply + Send + Sync)) {
    let Ok(bytes) = recv.read_to_end(1 << 20).await else { return };
    let Ok(request) = Request::decode(&bytes) else { return };
    match reply(request) {
        Reply::Bytes(bytes) => {
            let _ = send.write_all(&bytes).await;
            let _ = send.finish();
            let _ = send.stopped().await;
        }
        Reply::Open(bytes) => {
            let _ = send.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
        Reply::Endless(first, bytes) => {
            let _ = send.write_all(&first).await;
            while send.write_all(&bytes).await.is_ok() {}
        }
        Reply::Reset => {
            let _ = send.reset(VarInt::from_u32(7));
        }
    }
}

/// A packet as frames, each with its length.
#[must_use]
pub fn frames(packet: &Packet) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let encoded: Result<(), WireError> = Encoder::default().encode(packet, &mut |frame| {
        frames.push(frame);
        Ok(())
    });
    encoded.unwrap();
    frames
}
