//! Fetching bytes from the devices that a folder is shared with: small contents many at a time, the chunks of large ones from all who
//! have them at once.

use bifold_chunk::{Arriving, Chunk, ChunkId, Manifest, unpack};
use bifold_disk::far::Far;
use bifold_net::limits::Limits;
use bifold_net::link::{Answer, Item, Peer};
use bifold_protocol::content::{Lane, MAX_ANSWER_BYTES, MAX_WANTED, Request, Wanted};
use bifold_tree::ContentId;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Bytes of chunks in one request.
const REQUEST_BYTES: u64 = 512 << 10;
/// Requests that one peer is asked at a time.
const AT_ONCE: usize = 4;
/// Requests whose answers may wait for an earlier one's.
const AHEAD: usize = 16;

/// The devices that a folder's bytes are fetched from.
pub(crate) struct Fetcher {
    pub(crate) folder: u64,
    pub(crate) runtime: Handle,
    pub(crate) limits: Arc<Limits>,
    /// Who is connected now.
    pub(crate) peers: Box<dyn Fn() -> Vec<Peer> + Send + Sync>,
    /// Whom to ask first, so that several requests go to several.
    pub(crate) turn: std::sync::atomic::AtomicUsize,
}

impl Fetcher {
    /// Who is connected, another one first each time.
    fn holders(&self) -> Vec<Peer> {
        let mut peers = (self.peers)();
        if !peers.is_empty() {
            let turn = self.turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % peers.len();
            peers.rotate_left(turn);
        }
        peers
    }

    async fn ask(&self, peer: &Peer, lane: Lane, wanted: Wanted) -> Result<Answer, String> {
        let request = Request {
            folder: self.folder,
            lane,
            wanted,
        };
        peer.request(&request, &self.limits).await
    }
}

/// The next item, unpacked; `None` of what is absent.
async fn next(answer: &mut Answer, limit: usize) -> Result<Option<Vec<u8>>, String> {
    match answer.next().await? {
        Item::Absent => Ok(None),
        Item::Bytes(packing, bytes) => {
            let unpacked = match unpack(packing, &bytes, limit).map_err(|e| e.to_string())? {
                Cow::Borrowed(_) => None,
                Cow::Owned(unpacked) => Some(unpacked),
            };
            Ok(Some(unpacked.unwrap_or(bytes)))
        }
    }
}

fn lane(bytes: u64) -> Lane {
    if bytes <= REQUEST_BYTES {
        Lane::Interactive
    } else {
        Lane::Bulk
    }
}

impl Far for Fetcher {
    fn contents(&self, wanted: &[(ContentId, u64)], take: &mut dyn FnMut(usize, &[u8]) -> bool) {
        let mut left: Vec<usize> = (0..wanted.len()).collect();
        for peer in self.holders() {
            let mut absent = Vec::new();
            let mut at = 0;
            while at < left.len() {
                let mut bytes = 0;
                let mut part: Vec<usize> = Vec::new();
                for i in &left[at..] {
                    bytes += wanted[*i].1;
                    if !part.is_empty() && (bytes > MAX_ANSWER_BYTES || part.len() == MAX_WANTED) {
                        break;
                    }
                    part.push(*i);
                }
                at += part.len();
                let asked = Wanted::Contents(part.iter().map(|i| wanted[*i]).collect());
                let mut got = 0;
                let result = self.runtime.block_on(async {
                    let mut answer = self.ask(&peer, lane(bytes), asked).await?;
                    for i in &part {
                        let size = usize::try_from(wanted[*i].1).unwrap_or(usize::MAX);
                        match next(&mut answer, size).await? {
                            Some(bytes) if bytes.len() == size && take(*i, &bytes) => {}
                            _ => absent.push(*i),
                        }
                        got += 1;
                    }
                    Ok::<(), String>(())
                });
                if let Err(why) = result {
                    tracing::debug!(?peer, why, "did not answer whole");
                    absent.extend(&part[got..]);
                    absent.extend(&left[at..]);
                    break;
                }
            }
            left = absent;
            if left.is_empty() {
                return;
            }
        }
    }

    fn manifest(&self, content: ContentId, size: u64, have: Option<&Manifest>) -> Option<Manifest> {
        for peer in self.holders() {
            let result: Result<Vec<Vec<u8>>, String> = self.runtime.block_on(async {
                let wanted = Wanted::Manifest {
                    content,
                    have: have.map(Manifest::root),
                };
                let mut answer = self.ask(&peer, Lane::Interactive, wanted).await?;
                let mut nodes = Vec::new();
                let mut arriving = Arriving::new(content);
                let mut bytes = 0;
                while let Some(node) = next(&mut answer, bifold_chunk::MAX_NODE_BYTES).await? {
                    if !arriving.takes(&node) {
                        return Err("a list of chunks with parts that do not belong to it".into());
                    }
                    bytes += node.len();
                    nodes.push(node);
                    // (What names the nodes of a level is less than that level.)
                    if nodes.len() > Manifest::most_nodes(size) || bytes > 2 * bifold_chunk::max_encoded_bytes(size) {
                        return Err("a list of chunks without end".into());
                    }
                }
                Ok(nodes)
            });
            match result {
                Ok(nodes) if nodes.is_empty() => {}
                Ok(nodes) => match Manifest::rebuild(&nodes, have, content, size) {
                    Ok(manifest) => return Some(manifest),
                    Err(e) => tracing::warn!(?peer, %e, "sent a list of chunks that is wrong"),
                },
                Err(why) => tracing::debug!(?peer, why, "did not answer"),
            }
        }
        None
    }

    fn chunks(&self, content: ContentId, wanted: &[(u64, Chunk)], give: &mut dyn FnMut(Vec<u8>) -> bool) -> bool {
        let mut parts: Vec<&[(u64, Chunk)]> = Vec::new();
        let mut from = 0;
        let mut bytes = 0;
        for (i, (_, chunk)) in wanted.iter().enumerate() {
            bytes += u64::from(chunk.length);
            if bytes >= REQUEST_BYTES || i + 1 - from == MAX_WANTED || i + 1 == wanted.len() {
                parts.push(&wanted[from..=i]);
                (from, bytes) = (i + 1, 0);
            }
        }
        let sharing = Sharing {
            state: Mutex::new(Shared {
                todo: (0..parts.len()).collect(),
                came: BTreeMap::new(),
                given: 0,
                workers: 0,
                ended: false,
            }),
            changed: Notify::new(),
        };
        let peers = self.holders();
        let urgent = lane(wanted.iter().map(|(_, c)| u64::from(c.length)).sum());
        self.runtime.block_on(async {
            let mut workers = futures_of(peers.iter().flat_map(|peer| {
                let sharing = &sharing;
                let parts = &parts;
                (0..AT_ONCE).map(move |_| self.work(peer, urgent, content, parts, sharing))
            }));
            let mut giving = std::pin::pin!(give_in_order(&sharing, parts.len(), give));
            // The workers and the one who gives are one task: where one waits, the others go on.
            std::future::poll_fn(|cx| {
                workers.retain_mut(|worker| worker.as_mut().poll(cx).is_pending());
                giving.as_mut().poll(cx)
            })
            .await
        })
    }
}

type Worker<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

fn futures_of<'a>(workers: impl Iterator<Item = impl Future<Output = ()> + Send + 'a>) -> Vec<Worker<'a>> {
    workers.map(|worker| Box::pin(worker) as Worker<'a>).collect()
}

/// How requests for chunks of one content are shared out.
struct Sharing {
    state: Mutex<Shared>,
    changed: Notify,
}

struct Shared {
    /// Parts that nobody was asked for yet, or not with success.
    todo: BTreeSet<usize>,
    came: BTreeMap<usize, VecDeque<Vec<u8>>>,
    /// Parts that were passed on.
    given: usize,
    workers: usize,
    ended: bool,
}

impl Sharing {
    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetcher {
    /// Asks one peer for one part after the other, until there are none, or it has one not.
    async fn work(&self, peer: &Peer, lane: Lane, content: ContentId, parts: &[&[(u64, Chunk)]], sharing: &Sharing) {
        sharing.lock().workers += 1;
        loop {
            let changed = sharing.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let part = {
                let mut state = sharing.lock();
                if state.ended || state.given == parts.len() {
                    break;
                }
                let next = state.todo.first().copied().filter(|part| *part < state.given + AHEAD);
                if let Some(part) = next {
                    state.todo.remove(&part);
                }
                next
            };
            let Some(part) = part else {
                changed.await;
                continue;
            };
            match self.fetch_part(peer, lane, content, parts[part]).await {
                Ok(chunks) => {
                    sharing.lock().came.insert(part, chunks);
                    sharing.changed.notify_waiters();
                }
                Err(why) => {
                    tracing::debug!(?peer, why, "cannot give all chunks");
                    sharing.lock().todo.insert(part);
                    break;
                }
            }
        }
        sharing.lock().workers -= 1;
        sharing.changed.notify_waiters();
    }

    async fn fetch_part(
        &self,
        peer: &Peer,
        lane: Lane,
        content: ContentId,
        part: &[(u64, Chunk)],
    ) -> Result<VecDeque<Vec<u8>>, String> {
        let wanted = Wanted::Chunks {
            content,
            chunks: part.to_vec(),
        };
        let mut answer = self.ask(peer, lane, wanted).await?;
        let mut chunks = VecDeque::with_capacity(part.len());
        for (_, chunk) in part {
            match next(&mut answer, chunk.length as usize).await? {
                Some(bytes) if ChunkId::of(&bytes) == chunk.id => chunks.push_back(bytes),
                Some(_) => return Err("it sent another chunk than was asked for".into()),
                None => return Err("it does not have it".into()),
            }
        }
        Ok(chunks)
    }
}

/// Passes on what came, in order. False if it is not wanted any more, or nobody has the next.
async fn give_in_order(sharing: &Sharing, parts: usize, give: &mut dyn FnMut(Vec<u8>) -> bool) -> bool {
    let mut next = 0;
    // The workers begin with the first look at them.
    tokio::task::yield_now().await;
    while next < parts {
        let changed = sharing.changed.notified();
        let mut changed = std::pin::pin!(changed);
        changed.as_mut().enable();
        let came = {
            let mut state = sharing.lock();
            let came = state.came.remove(&next);
            if came.is_none() && state.workers == 0 {
                state.ended = true;
                return false;
            }
            came
        };
        let Some(chunks) = came else {
            changed.await;
            continue;
        };
        for chunk in chunks {
            if !give(chunk) {
                sharing.lock().ended = true;
                return false;
            }
        }
        next += 1;
        sharing.lock().given = next;
        sharing.changed.notify_waiters();
    }
    true
}
