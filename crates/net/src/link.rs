//! Connections: at most one between two devices, kept up as long as they have a folder in common. On it one stream of control with
//! [`Packet`]s, and one short stream for each request of content.

use crate::identity::{DeviceId, Identity};
use crate::limits::{Limits, Way};
use crate::membership::{Addresses, MAX_ADDRESSES};
use bifold_chunk::Packing;
use bifold_protocol::content::{ITEM_HEAD_BYTES, ItemHead, Lane, MAX_REQUEST_BYTES, Request};
use bifold_protocol::session::Message;
use bifold_protocol::wire::{ALPN, Encoder, Farewell, Hello, Packet, VERSION, WireError, decode, frame_length};
use bifold_tree::Vector;
use bytes::Bytes;
use iroh::endpoint::{Connection, IdleTimeout, PathList, QuicTransportConfig, RecvStream, SendStream, VarInt, presets};
use iroh::tls::CaTlsConfig;
use iroh::{Endpoint, EndpointAddr, RelayMap, RelayMode, RelayUrl, TransportAddr};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

/// How long a device may take to answer when it is dialled, and to say hello.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first wait after a device could not be reached; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long another connection with the same key has to show that it is alive.
const ALIVE_WITHIN: Duration = Duration::from_secs(3);
/// Packets that may wait to be sent to one peer. One that is slower is disconnected: when it comes back, it is told what is new by then.
const QUEUE: usize = 4096;
/// Nodes that are turned into bytes at a time.
const NODES_AT_ONCE: usize = 4096;
/// Requests of one peer that are answered at a time.
const REQUESTS: u32 = 64;
/// KiB that packets of all peers may take that were not understood yet.
const WAITING_KIB: usize = 64 << 10;
/// KiB that answers to one peer may hold at a time, of those it asked for: it may not read them.
const ANSWERS_KIB: usize = 64 << 10;
/// Of these, each answer counts for at least so many.
const ANSWER_KIB: u64 = 64;
/// Items that are read ahead of the wire, an answer.
const ITEMS_AHEAD: usize = 16;
/// Bytes of a frame that memory is taken for at a time.
const FRAME_PART: usize = 64 << 10;
/// Peers that may be connected, and connections that may be about to be, at a time.
const MOST_PEERS: usize = 1024;
/// How long nobody may take the next part of an answer.
const UNREAD: Duration = Duration::from_secs(60);
/// How long a peer may be silent in an answer.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of an item that are sent and received at a time.
const ITEM_PART: usize = 64 << 10;
/// Items up to so many bytes go out as one piece with their head.
const WITH_HEAD: usize = 16 << 10;
/// Room that an item gets before its bytes came: most chunks fit.
const AT_ONCE: usize = 256 << 10;
/// A connection that lasts less than this does not count as one that came about.
const LASTING: Duration = Duration::from_secs(10);
/// A peer that is not heard of for so long is gone.
const IDLE: Duration = Duration::from_secs(12);
/// Most bytes in flight of one stream. (A connection ends if more than 1,024 gaps are in what came of one of its streams. In so many
/// bytes there cannot be as many: packets have at least 1,200 bytes.)
const STREAM_WINDOW: u32 = 2 << 20;

/// Which relays are used.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Relay {
    /// Those that iroh's makers run, and their lookup of addresses.
    #[default]
    Default,
    /// None: devices are reached directly, or not at all.
    Off,
    /// One's own, at this URL.
    Own(String),
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; any address and a free port if it is not said.
    pub listen: Option<SocketAddr>,
    /// This port is used if it is free, where none was said.
    pub port: u16,
    /// Which relays.
    pub relay: Relay,
    /// A file with certificates of authorities that relays may be known by, besides the well-known ones.
    pub relay_ca: Option<PathBuf>,
    /// Whether devices of the same network are found by multicast.
    pub lan: bool,
    /// A random number of this run.
    pub run: u64,
}

/// Why there are no connections.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address is taken, or not this computer's.
    #[error("{address} cannot be listened on ({why}): name an address of this computer and a free port, or port 0")]
    Listen {
        /// Which.
        address: String,
        /// What the system said.
        why: String,
    },
    /// Not a URL.
    #[error("{0:?} is not the URL of a relay: say --relay default, --relay off, or a URL like https://relay.example.org")]
    Relay(String),
    /// No certificates.
    #[error("{path} holds no certificate that relays can be known by ({why}): name a file in PEM form, as openssl writes it")]
    RelayCa {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A device that could not be reached.
    #[error("the device {device} cannot be reached: {why}")]
    Unreachable {
        /// Which.
        device: String,
        /// Why.
        why: String,
    },
}

/// What happens.
#[derive(Debug)]
pub enum NetEvent {
    /// A peer is connected, and has said hello.
    Up(Peer),
    /// It says something. There is room for more once this is dropped.
    Packet(Peer, Packet, Room),
    /// It is gone.
    Down(Peer, Why),
    /// Two devices have one key.
    Cloned(DeviceId),
    /// A device could not be reached.
    Unreachable(DeviceId, String),
}

/// What a packet counts for as long as it waits to be understood; nothing, if this device has made it.
#[derive(Debug, Default)]
pub struct Room(#[allow(dead_code, reason = "it is held")] Option<OwnedSemaphorePermit>);

/// Roughly how many KiB a packet takes.
fn kib_of(packet: &Packet) -> u32 {
    let entries = |vector: &Vector| vector.0.len();
    let bytes = match packet {
        Packet::Membership { bytes, .. } => bytes.len(),
        Packet::Session { message, .. } => match message {
            Message::Offer { have, heard, .. } => (entries(have) + heard.len()) * 32,
            Message::Records { nodes, complete } => {
                let told = complete.iter().flat_map(|c| c.acks.values().chain([&c.have]));
                nodes.len() * 512 + told.map(|vector| 64 + entries(vector) * 32).sum::<usize>()
            }
            Message::Lacks(nodes) => nodes.len() * 32,
            Message::Shows(answer) => answer.shown.iter().map(|(s, _)| 64 + s.contents.len() * 32).sum(),
        },
        _ => 0,
    };
    (bytes.min(WAITING_KIB << 10) >> 10) as u32 + 1
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// What the other said.
    pub farewell: Option<Farewell>,
    /// For a person.
    pub text: String,
}

/// One thing of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// It is not there (any more).
    Absent,
    /// Its bytes.
    Bytes(Packing, Vec<u8>),
}

/// Who answers requests of content.
pub trait Answerer: Send + Sync + 'static {
    /// Puts the items of an answer into `out`, from a thread of its own; stops when nobody takes them any more. Whether the device
    /// may ask is for the answerer to find out.
    fn answer(&self, device: DeviceId, request: Request, out: mpsc::Sender<Item>);
}

/// How a peer is connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Directly, within one network.
    Lan,
    /// Directly.
    Direct,
    /// Through a relay.
    Relayed,
}

/// A connected peer.
#[derive(Clone)]
pub struct Peer(Arc<PeerInner>);

struct PeerInner {
    device: DeviceId,
    serial: u64,
    connection: Connection,
    run: u64,
    dialled: bool,
    out: mpsc::Sender<Packet>,
    /// It belongs to a folder of this device, as far as is known.
    known: AtomicBool,
    /// Room for answers to it.
    room: Semaphore,
    /// The number that was asked last whether it is there, and the last one that was answered.
    pings: AtomicU64,
    pong: AtomicU64,
    farewell: Mutex<Option<Why>>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}#{}", self.0.device, self.0.serial)
    }
}

impl PartialEq for Peer {
    fn eq(&self, other: &Peer) -> bool {
        self.0.serial == other.0.serial
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Peer {
    /// Who.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.0.device
    }

    /// Sends a packet, after those before it. A peer that takes too few of them is disconnected.
    pub fn send(&self, packet: Packet) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.0.out.try_send(packet) {
            tracing::warn!(peer = ?self, "takes too little: disconnected");
            self.0.connection.close(VarInt::from_u32(1), b"too slow");
        }
    }

    /// Says why, and ends the connection.
    pub fn farewell(&self, code: Farewell, reason: &str) {
        lock(&self.0.farewell).get_or_insert_with(|| Why {
            farewell: None,
            text: reason.to_owned(),
        });
        let goodbye = Packet::Goodbye {
            code,
            reason: reason.to_owned(),
        };
        if self.0.out.try_send(goodbye).is_err() {
            self.0.connection.close(VarInt::from_u32(1), reason.as_bytes());
        }
    }

    /// It belongs to a folder of this device: what it says is heard in full.
    pub fn know(&self) {
        self.0.known.store(true, Ordering::Relaxed);
    }

    /// Whether the connection has not ended.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.connection.close_reason().is_none()
    }

    /// How it is connected; `None` while no way is chosen.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let paths: PathList<'_> = self.0.connection.paths();
        let path = paths.iter().find(|p| p.is_selected())?;
        Some(match path.remote_addr() {
            TransportAddr::Ip(addr) if is_near(addr.ip()) => Kind::Lan,
            TransportAddr::Ip(_) => Kind::Direct,
            _ => Kind::Relayed,
        })
    }

    /// Bytes sent and received on this connection.
    #[must_use]
    pub fn traffic(&self) -> (u64, u64) {
        let stats = self.0.connection.stats();
        (stats.udp_tx.bytes, stats.udp_rx.bytes)
    }

    /// Where the peer is reached now.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let mut addresses = Addresses::default();
        for path in self.0.connection.paths().iter() {
            match path.remote_addr() {
                TransportAddr::Ip(addr) => addresses.ip.push(*addr),
                TransportAddr::Relay(url) => addresses.relay = Some(url.to_string()),
                _ => {}
            }
        }
        addresses
    }

    /// Asks for content.
    ///
    /// # Errors
    /// If the connection ended, or the request asks for too much.
    pub async fn request(&self, request: &Request, limits: &Arc<Limits>) -> Result<Answer, String> {
        let bytes = request.encode().map_err(|e| e.to_string())?;
        let opening = tokio::time::timeout(SILENCE, self.0.connection.open_bi()).await;
        let (mut send, recv) = opening
            .map_err(|_| "it takes no more requests".to_owned())?
            .map_err(|e| e.to_string())?;
        let _ = send.set_priority(priority(request.lane));
        write_in_time(&mut send, bytes.into()).await?;
        send.finish().map_err(|e| e.to_string())?;
        Ok(Answer {
            recv,
            device: self.0.device,
            limits: limits.clone(),
        })
    }

    /// Whether it is still there, as far as can be found out soon.
    async fn is_alive(&self) -> bool {
        let asked = self.0.pings.fetch_add(1, Ordering::Relaxed) + 1;
        let end = tokio::time::Instant::now() + ALIVE_WITHIN;
        self.send(Packet::Ping(asked));
        while tokio::time::Instant::now() < end && self.is_up() {
            if self.0.pong.load(Ordering::Relaxed) == asked {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }
}

fn priority(lane: Lane) -> i32 {
    match lane {
        Lane::Interactive => 1,
        Lane::Bulk => 0,
    }
}

fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_near(IpAddr::V4(ip)),
            None => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        },
    }
}

/// The answer to a request, item after item.
pub struct Answer {
    recv: RecvStream,
    device: DeviceId,
    limits: Arc<Limits>,
}

impl Answer {
    async fn fill(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        match tokio::time::timeout(SILENCE, self.recv.read_exact(bytes)).await {
            Ok(read) => read.map_err(|e| e.to_string()),
            Err(_) => Err("it says nothing any more".into()),
        }
    }

    /// The next item.
    ///
    /// # Errors
    /// If nothing came for a minute, the connection ended before it, or what comes is no item.
    pub async fn next(&mut self) -> Result<Item, String> {
        let mut head = [0; ITEM_HEAD_BYTES];
        self.fill(&mut head).await?;
        match ItemHead::decode(head).map_err(|e| e.to_string())? {
            ItemHead::Absent => Ok(Item::Absent),
            ItemHead::Bytes { packing, length } => {
                // (As much memory as came, not as much as was announced.)
                let mut left = length as usize;
                let mut bytes = Vec::with_capacity(left.min(AT_ONCE));
                while left > 0 {
                    let from = bytes.len();
                    bytes.resize(from + left.min(ITEM_PART), 0);
                    self.limits.pass(self.device, Way::Down, bytes.len() - from).await;
                    self.fill(&mut bytes[from..]).await?;
                    left -= bytes.len() - from;
                }
                Ok(Item::Bytes(packing, bytes))
            }
        }
    }
}

struct Want {
    addresses: Addresses,
    /// Try again now.
    again: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    peers: BTreeMap<DeviceId, Peer>,
    wanted: BTreeMap<DeviceId, Want>,
}

/// The connections of this device.
#[derive(Clone)]
pub struct Net(Arc<NetInner>);

struct NetInner {
    endpoint: Endpoint,
    me: DeviceId,
    run: u64,
    relay: Relay,
    events: mpsc::Sender<NetEvent>,
    answerer: Arc<dyn Answerer>,
    limits: Arc<Limits>,
    serial: AtomicU64,
    state: Mutex<State>,
    /// Room for packets that wait.
    room: Arc<Semaphore>,
}

impl Net {
    /// Begins to listen.
    ///
    /// # Errors
    /// If that is not possible.
    pub async fn start(
        identity: &Identity,
        options: &Options,
        events: mpsc::Sender<NetEvent>,
        answerer: Arc<dyn Answerer>,
        limits: Arc<Limits>,
    ) -> Result<Net, LinkError> {
        let any_port = options.listen.is_none_or(|address| address.port() == 0);
        let first = if any_port && options.port != 0 {
            bind(identity, options, options.port).await.ok()
        } else {
            None
        };
        let endpoint = match first {
            Some(endpoint) => endpoint,
            None => bind(identity, options, 0).await?,
        };
        let net = Net(Arc::new(NetInner {
            endpoint,
            me: identity.device(),
            run: options.run,
            relay: options.relay.clone(),
            events,
            answerer,
            limits,
            serial: AtomicU64::new(1),
            state: Mutex::default(),
            room: Arc::new(Semaphore::new(WAITING_KIB + 1)),
        }));
        let accepting = net.clone();
        tokio::spawn(async move { accepting.accept().await });
        Ok(net)
    }

    /// The port that is listened on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.endpoint.bound_sockets().first().map_or(0, SocketAddr::port)
    }

    /// Where this device can be reached, as far as is known now.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let addr = self.0.endpoint.addr();
        let mut ip: Vec<SocketAddr> = addr.ip_addrs().copied().collect();
        if ip.is_empty() {
            ip.extend(
                self.0
                    .endpoint
                    .bound_sockets()
                    .into_iter()
                    .filter(|a| !a.ip().is_unspecified()),
            );
        }
        // Addresses of other computers first, should there be too many.
        ip.sort_by_key(|a| a.ip().is_loopback());
        ip.truncate(MAX_ADDRESSES);
        Addresses {
            ip,
            relay: addr.relay_urls().next().map(ToString::to_string),
        }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Arc<Limits> {
        &self.0.limits
    }

    /// A connected peer.
    #[must_use]
    pub fn peer(&self, device: DeviceId) -> Option<Peer> {
        lock(&self.0.state).peers.get(&device).cloned()
    }

    /// All of them.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        lock(&self.0.state).peers.values().cloned().collect()
    }

    /// Keeps up a connection with a device, which may be at these addresses. To be called within the runtime.
    pub fn want(&self, device: DeviceId, addresses: &Addresses) {
        if device == self.0.me {
            return;
        }
        let mut state = lock(&self.0.state);
        if let Some(want) = state.wanted.get_mut(&device) {
            if !addresses.is_empty() && want.addresses != *addresses {
                want.addresses = addresses.clone();
                want.again.notify_one();
            }
            return;
        }
        let again = Arc::new(Notify::new());
        let (net, notified) = (self.clone(), again.clone());
        let want = Want {
            addresses: addresses.clone(),
            again,
            task: tokio::spawn(async move { net.keep_up(device, &notified).await }),
        };
        state.wanted.insert(device, want);
    }

    /// Does not keep it up any more. What is connected stays so.
    pub fn unwant(&self, device: DeviceId) {
        if let Some(want) = lock(&self.0.state).wanted.remove(&device) {
            want.task.abort();
        }
    }

    /// The network has changed, or the computer was asleep: devices that could not be reached are tried at once.
    pub async fn network_changed(&self) {
        self.0.endpoint.network_change().await;
        for want in lock(&self.0.state).wanted.values() {
            want.again.notify_one();
        }
    }

    /// Connects to a device once, if it is not connected.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub async fn dial(&self, device: DeviceId, addresses: &Addresses) -> Result<Peer, LinkError> {
        if let Some(peer) = self.peer(device).filter(Peer::is_up) {
            return Ok(peer);
        }
        let unreachable = |why: String| LinkError::Unreachable {
            device: device.short(),
            why,
        };
        let key = device.key().ok_or_else(|| unreachable("its id is not a public key".into()))?;
        let mut addr = EndpointAddr::new(key);
        for ip in &addresses.ip {
            addr = addr.with_ip_addr(*ip);
        }
        // A relay is used that this device uses too; where those of iroh's makers are, any.
        let wanted = |url: &&String| match &self.0.relay {
            Relay::Off => false,
            Relay::Default => true,
            Relay::Own(own) => own.trim_end_matches('/') == url.trim_end_matches('/'),
        };
        if let Some(url) = addresses
            .relay
            .as_ref()
            .filter(wanted)
            .and_then(|url| url.parse::<RelayUrl>().ok())
        {
            addr = addr.with_relay_url(url);
        }
        let connecting = async {
            let connection = self.0.endpoint.connect(addr, ALPN).await.map_err(|e| e.to_string())?;
            let (send, recv) = connection.open_bi().await.map_err(|e| e.to_string())?;
            self.greet(connection, send, recv, true).await
        };
        let result = match tokio::time::timeout(PATIENCE, connecting).await {
            Ok(Ok(greeted)) => self.enter(greeted).await,
            Ok(Err(why)) => Err(why),
            Err(_) => Err("it did not answer".into()),
        };
        // It may have dialled this one meanwhile.
        result.or_else(|why| self.peer(device).filter(Peer::is_up).ok_or_else(|| unreachable(why)))
    }

    /// Ends all connections.
    pub async fn stop(&self) {
        let (peers, wanted) = {
            let mut state = lock(&self.0.state);
            (state.peers.clone(), std::mem::take(&mut state.wanted))
        };
        for want in wanted.into_values() {
            want.task.abort();
        }
        for peer in peers.values() {
            peer.farewell(Farewell::Stopping, "the program ends there");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), self.0.endpoint.close()).await;
    }

    async fn keep_up(&self, device: DeviceId, again: &Notify) {
        let mut wait = FIRST_WAIT;
        loop {
            if let Some(peer) = self.peer(device) {
                let since = tokio::time::Instant::now();
                peer.0.connection.closed().await;
                if since.elapsed() > LASTING {
                    wait = FIRST_WAIT;
                    // Whoever ends it on purpose is not dialled again at once.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                } else {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
                        () = again.notified() => {}
                    }
                }
            }
            let addresses = lock(&self.0.state).wanted.get(&device).map(|w| w.addresses.clone());
            let Some(addresses) = addresses else { return };
            match self.dial(device, &addresses).await {
                Ok(_) => {}
                Err(e) => {
                    let _ = self.0.events.send(NetEvent::Unreachable(device, e.to_string())).await;
                    tokio::select! {
                        () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
                        () = again.notified() => wait = FIRST_WAIT,
                    }
                }
            }
        }
    }

    async fn accept(&self) {
        let greeted = Arc::new(Semaphore::new(MOST_PEERS));
        while let Some(incoming) = self.0.endpoint.accept().await {
            let Ok(place) = greeted.clone().try_acquire_owned() else {
                incoming.refuse();
                continue;
            };
            if lock(&self.0.state).peers.len() >= MOST_PEERS {
                incoming.refuse();
                continue;
            }
            let net = self.clone();
            tokio::spawn(async move {
                let _place = place;
                let greeting = async {
                    let connection = incoming.await.map_err(|e| e.to_string())?;
                    let (send, recv) = connection.accept_bi().await.map_err(|e| e.to_string())?;
                    net.greet(connection, send, recv, false).await
                };
                match tokio::time::timeout(PATIENCE, greeting).await {
                    Ok(Ok(greeted)) => {
                        let _ = net.enter(greeted).await;
                    }
                    Ok(Err(why)) => tracing::debug!(why, "no connection came of it"),
                    Err(_) => tracing::debug!("someone who connected said nothing"),
                }
            });
        }
    }

    /// Says hello, and hears it.
    async fn greet(
        &self,
        connection: Connection,
        mut send: SendStream,
        mut recv: RecvStream,
        dialled: bool,
    ) -> Result<(Peer, RecvStream), String> {
        let device = DeviceId::of(&connection.remote_id());
        let _ = send.set_priority(2);
        let hello = Hello {
            version: VERSION,
            run: self.0.run,
            program: concat!("bifold ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        write_packet(&mut send, &mut Encoder::default(), &Packet::Hello(hello)).await?;
        let theirs = match read_packet(&mut recv, &|| false).await? {
            Packet::Hello(hello) => hello,
            Packet::Goodbye { reason, .. } => return Err(reason),
            _ => return Err("it does not say hello first".into()),
        };
        if theirs.version != VERSION {
            let reason = format!(
                "the two devices speak different versions of the protocol ({VERSION} and {}): update Bifold on the one with version {}",
                theirs.version,
                theirs.version.min(VERSION)
            );
            let goodbye = Packet::Goodbye {
                code: Farewell::Version,
                reason: reason.clone(),
            };
            let _ = write_packet(&mut send, &mut Encoder::default(), &goodbye).await;
            let _ = send.finish();
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Err(reason);
        }
        let (out, queue) = mpsc::channel(QUEUE);
        let peer = Peer(Arc::new(PeerInner {
            device,
            serial: self.0.serial.fetch_add(1, Ordering::Relaxed),
            connection,
            run: theirs.run,
            dialled,
            out,
            known: AtomicBool::new(false),
            room: Semaphore::new(ANSWERS_KIB),
            pings: AtomicU64::new(0),
            pong: AtomicU64::new(0),
            farewell: Mutex::default(),
        }));
        tokio::spawn(write_all(peer.clone(), send, queue));
        Ok((peer, recv))
    }

    /// Puts a peer on the list, and begins to hear it; both or neither, whoever waits for it.
    async fn enter(&self, (peer, recv): (Peer, RecvStream)) -> Result<Peer, String> {
        let net = self.clone();
        let entering = tokio::spawn(async move {
            net.register(&peer).await?;
            let (listening, reading) = (net.clone(), peer.clone());
            tokio::spawn(async move { listening.serve(reading, recv).await });
            Ok(peer)
        });
        entering.await.unwrap_or_else(|e| Err(e.to_string()))
    }

    /// Of two connections between two devices, one stays.
    async fn register(&self, peer: &Peer) -> Result<(), String> {
        let device = peer.device();
        let old = self.peer(device).filter(|old| old.is_up() && old.0.run != peer.0.run);
        if let Some(old) = old
            && old.is_alive().await
        {
            let reason = "two computers use this device's key, as one is a copy of the other";
            old.farewell(Farewell::Cloned, reason);
            peer.farewell(Farewell::Cloned, reason);
            let _ = self.0.events.send(NetEvent::Cloned(device)).await;
            return Err(reason.into());
        }
        let before = {
            let mut state = lock(&self.0.state);
            let by = |p: &Peer| if p.0.dialled { self.0.me } else { device };
            let old = state.peers.get(&device).filter(|old| old.is_up() && old.0.run == peer.0.run);
            if old.is_some_and(|old| by(peer) > by(old)) {
                drop(state);
                peer.farewell(Farewell::Duplicate, "there is another connection");
                return Err("there is another connection".into());
            }
            state.peers.insert(device, peer.clone())
        };
        if let Some(before) = before {
            let text = "another connection took its place";
            before.farewell(Farewell::Duplicate, text);
            let why = Why {
                farewell: Some(Farewell::Duplicate),
                text: text.into(),
            };
            let _ = self.0.events.send(NetEvent::Down(before, why)).await;
        }
        let _ = self.0.events.send(NetEvent::Up(peer.clone())).await;
        Ok(())
    }

    /// Hears what a peer says, until it is gone.
    async fn serve(&self, peer: Peer, mut recv: RecvStream) {
        let net = self.clone();
        let asked = peer.clone();
        let requests = tokio::spawn(async move { net.requests(asked).await });
        let why = loop {
            match read_packet(&mut recv, &|| peer.0.known.load(Ordering::Relaxed)).await {
                Ok(Packet::Ping(n)) => peer.send(Packet::Pong(n)),
                Ok(Packet::Pong(n)) => peer.0.pong.store(n, Ordering::Relaxed),
                Ok(Packet::Goodbye { code, reason }) => {
                    break Why {
                        farewell: Some(code),
                        text: reason,
                    };
                }
                Ok(Packet::Hello(_)) => {
                    peer.farewell(Farewell::Protocol, "hello was said already");
                    break Why {
                        farewell: None,
                        text: "it said hello twice".into(),
                    };
                }
                Ok(packet) => {
                    let Ok(room) = self.0.room.clone().acquire_many_owned(kib_of(&packet)).await else {
                        return;
                    };
                    let event = NetEvent::Packet(peer.clone(), packet, Room(Some(room)));
                    if self.0.events.send(event).await.is_err() {
                        return;
                    }
                }
                Err(text) => {
                    let said = lock(&peer.0.farewell).clone();
                    if said.is_none() && peer.is_up() {
                        peer.farewell(Farewell::Protocol, &text);
                    }
                    break said.unwrap_or(Why { farewell: None, text });
                }
            }
        };
        requests.abort();
        // What was said last is still to go out.
        let _ = tokio::time::timeout(Duration::from_millis(200), peer.0.connection.closed()).await;
        peer.0.connection.close(VarInt::from_u32(0), b"");
        let listed = {
            let mut state = lock(&self.0.state);
            let is_listed = state.peers.get(&peer.device()) == Some(&peer);
            if is_listed {
                state.peers.remove(&peer.device());
            }
            is_listed
        };
        if listed {
            let _ = self.0.events.send(NetEvent::Down(peer, why)).await;
        }
    }

    async fn requests(&self, peer: Peer) {
        while let Ok((send, recv)) = peer.0.connection.accept_bi().await {
            let (net, peer) = (self.clone(), peer.clone());
            tokio::spawn(async move {
                if let Err(why) = net.answer(&peer, send, recv).await {
                    tracing::debug!(?peer, why, "a request came to nothing");
                }
            });
        }
    }

    async fn answer(&self, peer: &Peer, mut send: SendStream, mut recv: RecvStream) -> Result<(), String> {
        let bytes = match tokio::time::timeout(PATIENCE, recv.read_to_end(MAX_REQUEST_BYTES)).await {
            Ok(read) => read.map_err(|e| e.to_string())?,
            Err(_) => return Err("it began a request and did not end it".into()),
        };
        let request = Request::decode(&bytes).map_err(|e| {
            peer.farewell(Farewell::Protocol, &e.to_string());
            e.to_string()
        })?;
        let _ = send.set_priority(priority(request.lane));
        let kib = u32::try_from((request.bytes() >> 10).max(ANSWER_KIB)).map_err(|e| e.to_string())?;
        let _room = peer.0.room.acquire_many(kib).await.map_err(|e| e.to_string())?;
        let (items, mut answer) = mpsc::channel(ITEMS_AHEAD);
        self.0.answerer.answer(peer.device(), request, items);
        loop {
            let item = tokio::select! {
                item = answer.recv() => item,
                // Nobody wants the rest.
                _ = send.stopped() => None,
            };
            let Some(item) = item else { break };
            let (head, bytes) = match item {
                Item::Absent => (ItemHead::Absent, Vec::new()),
                Item::Bytes(packing, bytes) => {
                    let length = u32::try_from(bytes.len()).map_err(|e| e.to_string())?;
                    (ItemHead::Bytes { packing, length }, bytes)
                }
            };
            if bytes.len() <= WITH_HEAD {
                self.0.limits.pass(peer.device(), Way::Up, bytes.len()).await;
                write_in_time(&mut send, [&head.encode(), bytes.as_slice()].concat().into()).await?;
                continue;
            }
            write_in_time(&mut send, Bytes::copy_from_slice(&head.encode())).await?;
            let mut rest = Bytes::from(bytes);
            while !rest.is_empty() {
                let part = rest.split_to(rest.len().min(ITEM_PART));
                self.0.limits.pass(peer.device(), Way::Up, part.len()).await;
                write_in_time(&mut send, part).await?;
            }
        }
        send.finish().map_err(|e| e.to_string())
    }
}

async fn write_in_time(send: &mut SendStream, bytes: Bytes) -> Result<(), String> {
    match tokio::time::timeout(UNREAD, send.write_chunk(bytes)).await {
        Ok(written) => written.map_err(|e| e.to_string()),
        Err(_) => Err("the answer is not taken".into()),
    }
}

async fn bind(identity: &Identity, options: &Options, port: u16) -> Result<Endpoint, LinkError> {
    let listen_error = |address: String| {
        move |e: &dyn std::fmt::Display| LinkError::Listen {
            address: address.clone(),
            why: e.to_string(),
        }
    };
    let builder = match options.relay {
        Relay::Default => Endpoint::builder(presets::N0),
        _ => Endpoint::builder(presets::Minimal),
    };
    let transport = QuicTransportConfig::builder()
        .max_concurrent_bidi_streams(VarInt::from_u32(REQUESTS))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .send_window(u64::from(STREAM_WINDOW) * 4)
        .build();
    let mut builder = builder
        .secret_key(identity.key().clone())
        .alpns(vec![ALPN.to_vec()])
        .transport_config(transport);
    builder = match &options.relay {
        Relay::Default => builder,
        Relay::Off => builder.relay_mode(RelayMode::Disabled),
        Relay::Own(url) => {
            let url: RelayUrl = url.parse().map_err(|_| LinkError::Relay(url.clone()))?;
            builder.relay_mode(RelayMode::Custom(RelayMap::from(url)))
        }
    };
    if let Some(path) = &options.relay_ca {
        builder = builder.ca_tls_config(CaTlsConfig::embedded().with_extra_roots(certificates(path)?));
    }
    if options.lan {
        builder = builder.address_lookup(iroh_mdns_address_lookup::MdnsAddressLookup::builder());
    }
    let (address, what) = match options.listen {
        Some(mut address) => {
            if address.port() == 0 {
                address.set_port(port);
            }
            (Some(address), address.to_string())
        }
        None if port != 0 => (Some(SocketAddr::from(([0, 0, 0, 0], port))), format!("port {port}")),
        None => (None, "any port".to_owned()),
    };
    let failed = listen_error(what);
    if let Some(address) = address {
        if options.listen.is_some() {
            builder = builder.clear_ip_transports();
        }
        builder = builder.bind_addr(address).map_err(|e| failed(&e))?;
    }
    builder.bind().await.map_err(|e| failed(&e))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let wrong = |why: String| LinkError::RelayCa {
        path: path.to_owned(),
        why,
    };
    let found: Result<Vec<_>, _> = match CertificateDer::pem_file_iter(path) {
        Ok(found) => found.collect(),
        Err(e) => Err(e),
    };
    match found {
        Ok(found) if found.is_empty() => Err(wrong("it has none".into())),
        Ok(found) => Ok(found),
        Err(e) => Err(wrong(e.to_string())),
    }
}

async fn write_all(peer: Peer, mut send: SendStream, mut queue: mpsc::Receiver<Packet>) {
    let mut encoder = Encoder::default();
    loop {
        // (The peer has the other end of the queue: it does not end while this has the peer.)
        let packet = tokio::select! {
            packet = queue.recv() => packet,
            _ = peer.0.connection.closed() => return,
        };
        let Some(packet) = packet else { return };
        let last = matches!(packet, Packet::Goodbye { .. });
        if let Err(why) = write_packet(&mut send, &mut encoder, &packet).await {
            tracing::debug!(?peer, why, "cannot be told");
            peer.0.connection.close(VarInt::from_u32(1), why.as_bytes());
            return;
        }
        if last {
            let _ = send.finish();
            let _ = tokio::time::timeout(Duration::from_secs(1), send.stopped()).await;
            peer.0.connection.close(VarInt::from_u32(0), b"");
            return;
        }
    }
}

async fn write_packet(send: &mut SendStream, encoder: &mut Encoder, packet: &Packet) -> Result<(), String> {
    if let Packet::Session {
        folder,
        message: Message::Records { nodes, complete },
    } = packet
        && nodes.len() > NODES_AT_ONCE
    {
        // In parts, so that not all of them are in memory as bytes at a time.
        let parts = nodes.chunks(NODES_AT_ONCE);
        let last = parts.len() - 1;
        for (i, part) in parts.enumerate() {
            let message = Message::Records {
                nodes: part.to_vec(),
                complete: complete.clone().filter(|_| i == last),
            };
            let part = Packet::Session {
                folder: *folder,
                message,
            };
            write_frames(send, encoder, &part).await?;
        }
        return Ok(());
    }
    write_frames(send, encoder, packet).await
}

async fn write_frames(send: &mut SendStream, encoder: &mut Encoder, packet: &Packet) -> Result<(), String> {
    let mut frames = Vec::new();
    let encoded: Result<(), WireError> = encoder.encode(packet, &mut |frame| {
        frames.push(frame);
        Ok(())
    });
    encoded.map_err(|e| e.to_string())?;
    for frame in frames {
        send.write_all(&frame).await.map_err(|e| e.to_string())?;
    }
    Ok(())
}

async fn read_packet(recv: &mut RecvStream, known: &(dyn Fn() -> bool + Sync)) -> Result<Packet, String> {
    let mut length = [0; 4];
    recv.read_exact(&mut length).await.map_err(|e| e.to_string())?;
    let length = frame_length(length).map_err(|e| e.to_string())?;
    // As much memory as came, not as much as was announced.
    let mut frame = Vec::new();
    while frame.len() < length {
        let from = frame.len();
        frame.resize(length.min(from + FRAME_PART), 0);
        recv.read_exact(&mut frame[from..]).await.map_err(|e| e.to_string())?;
    }
    decode(&frame, known()).map_err(|e| e.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is a failed test")]
mod tests {
    use super::*;
    use crate::identity::KeyPlace;
    use bifold_protocol::content::Wanted;
    use bifold_tree::ContentId;

    struct Nobody;

    impl Answerer for Nobody {
        fn answer(&self, _device: DeviceId, _request: Request, _out: mpsc::Sender<Item>) {}
    }

    /// Answers everything with as much as there is room for on the wire.
    struct Much;

    /// Items of such an answer, of a quarter MiB each.
    const MUCH: usize = 256;

    impl Answerer for Much {
        fn answer(&self, _device: DeviceId, _request: Request, out: mpsc::Sender<Item>) {
            tokio::spawn(async move {
                for _ in 0..MUCH {
                    let _ = out.send(Item::Bytes(Packing::Plain, vec![7; 256 << 10])).await;
                }
            });
        }
    }

    /// What fits into one stream at a time may come in any order, and with any of it lost on the way, without the end of the connection:
    /// over loopback the receiver's buffer overflows whenever it is slower than the sender.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_long_answer_over_a_fast_wire_comes_whole() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (a, _heard) = net(here.path(), 1, Arc::new(Nobody)).await;
        let (b, _also_heard) = net(there.path(), 2, Arc::new(Much)).await;
        let peer = a.dial(b.0.me, &b.addresses()).await.unwrap();
        let wanted = Wanted::Manifest {
            content: ContentId::default(),
            have: None,
        };
        let request = Request {
            folder: 0,
            lane: Lane::Bulk,
            wanted,
        };
        let mut answer = peer.request(&request, &Arc::default()).await.unwrap();
        for _ in 0..MUCH {
            assert!(matches!(answer.next().await.unwrap(), Item::Bytes(_, bytes) if bytes.len() == 256 << 10));
        }
    }

    async fn net(home: &Path, run: u64, answerer: Arc<dyn Answerer>) -> (Net, mpsc::Receiver<NetEvent>) {
        let key = home.join("key");
        let identity = Identity::load_or_make(&key, Some(KeyPlace::File), &crate::keyring::Keyring).unwrap();
        let options = Options {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            port: 0,
            relay: Relay::Off,
            relay_ca: None,
            lan: false,
            run,
        };
        let (events, heard) = mpsc::channel(16);
        let net = Net::start(&identity, &options, events, answerer, Arc::default()).await;
        (net.unwrap(), heard)
    }

    /// A connection that ended leaves nothing: neither a task that waits for what is to be sent over it, nor what that would be packed with.
    #[tokio::test]
    async fn nothing_stays_of_a_connection_that_ended() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (a, mut heard) = net(here.path(), 1, Arc::new(Nobody)).await;
        let (b, _heard) = net(there.path(), 2, Arc::new(Nobody)).await;
        let peer = a.dial(b.0.me, &b.addresses()).await.unwrap();
        let left = Arc::downgrade(&peer.0);
        drop(peer);
        b.0.endpoint.close().await;
        while !matches!(heard.recv().await, Some(NetEvent::Down(..))) {}
        let end = tokio::time::Instant::now() + Duration::from_secs(20);
        while left.upgrade().is_some() {
            assert!(tokio::time::Instant::now() < end, "something of it is kept");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
