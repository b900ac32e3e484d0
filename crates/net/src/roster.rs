//! A folder's roster: which devices belong to it, with which roles. It replicates with the folder. Each entry is signed by the device
//! that made it, and says what it knew: so that all devices that have the same entries see the same roster, whoever brought them.
//!
//! # Rules
//!
//! 1. The founder's first entry, about itself, is the folder's root of trust. Who joins hears its hash from whoever invites.
//! 2. An entry counts if whoever signed it was an owner in what the entry knew (its `after`, entries named by their hashes, all of
//!    which must count), or if it takes out or renames only the signer itself.
//! 3. Of the entries about one device, those count that no other which counts knew of; if several are left, the least role among
//!    them holds (removed, reader, editor, owner): who takes a right away wins over who gives one at the same time.
//! 4. An entry that was signed by a device which another entry, that did not know of it, removes or makes less than an owner does not
//!    count: what such a device signs afterwards, whatever it says that it knew, has no effect.
//! 5. Of two owners who take each other out like this, the senior one stays: the one that fewer entries were known before when it was first
//!    named. Nobody can choose that for itself.
//! 6. Entries that are signed by nobody who may ever have been an owner are not kept, but for those of a member about itself: of these
//!    [`MAX_OF_ITSELF`] that no owner's entry hangs on, the ones with the least names.
//!
//! From rule 4 follows that someone whom a device invited just before it was removed elsewhere has to be invited again.

use iroh::{PublicKey, SecretKey, Signature};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of a device's name.
pub const MAX_NAME_BYTES: usize = 128;
/// Most entries in a roster.
pub const MAX_ENTRIES: usize = 1024;
/// Most entries that one names as known.
pub const MAX_AFTER: usize = 64;
/// Most entries that a device which was never an owner made of itself, and no owner's entry hangs on.
pub const MAX_OF_ITSELF: usize = 8;
/// What is signed begins with this, so that a signature is good for nothing else.
const CONTEXT: &[u8] = b"bifold roster entry 1";

/// What a device may do. The lesser, the smaller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Role {
    /// Nothing any more: all others refuse it.
    Removed,
    /// It gets all, and its own changes are refused by everyone.
    Reader,
    /// It reads and writes.
    Editor,
    /// It also invites and removes devices.
    Owner,
}

/// An entry's name: the BLAKE3 of its bytes, with the signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId(pub [u8; 32]);

impl std::fmt::Debug for EntryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", data_encoding::HEXLOWER.encode(&self.0[..4]))
    }
}

/// What one entry says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// Of which folder.
    pub folder: u64,
    /// About which device.
    pub device: [u8; 32],
    /// What it may do from then on.
    pub role: Role,
    /// Its name, for people.
    pub name: String,
    /// The newest entries that the signer knew: with all that these knew, what it knew. In rising order.
    pub after: Vec<EntryId>,
}

/// A claim, signed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    claim: Claim,
    by: [u8; 32],
    /// In two halves, for the sake of serde.
    signature: ([u8; 32], [u8; 32]),
}

/// Why an entry is not taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RosterError {
    /// Of another folder.
    #[error("an entry of another folder's roster")]
    OtherFolder,
    /// Not signed by whom it says.
    #[error("an entry whose signature is wrong")]
    Forged,
    /// Not what an entry can be.
    #[error("an entry that cannot be")]
    Malformed,
    /// There are too many.
    #[error("the roster has too many entries")]
    Full,
    /// Whoever asks for it may not do it.
    #[error("only an owner of the folder may do this")]
    NotAllowed,
}

impl Entry {
    fn sign(claim: Claim, key: &SecretKey) -> Result<Entry, RosterError> {
        let signature = key.sign(&signed_bytes(&claim)?).to_bytes();
        let mut halves = ([0; 32], [0; 32]);
        halves.0.copy_from_slice(&signature[..32]);
        halves.1.copy_from_slice(&signature[32..]);
        Ok(Entry {
            claim,
            by: *key.public().as_bytes(),
            signature: halves,
        })
    }

    /// What it says.
    #[must_use]
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Who signed it.
    #[must_use]
    pub fn by(&self) -> &[u8; 32] {
        &self.by
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> EntryId {
        // It was made of the same bytes: they can be made again.
        let bytes = postcard::to_stdvec(self).unwrap_or_default();
        EntryId(*blake3::hash(&bytes).as_bytes())
    }

    fn check(&self, folder: u64) -> Result<(), RosterError> {
        if self.claim.folder != folder {
            return Err(RosterError::OtherFolder);
        }
        let in_order = self.claim.after.windows(2).all(|pair| pair[0] < pair[1]);
        if self.claim.name.len() > MAX_NAME_BYTES || self.claim.after.len() > MAX_AFTER || !in_order {
            return Err(RosterError::Malformed);
        }
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&self.signature.0);
        signature[32..].copy_from_slice(&self.signature.1);
        let key = PublicKey::from_bytes(&self.by).map_err(|_| RosterError::Forged)?;
        key.verify(&signed_bytes(&self.claim)?, &Signature::from_bytes(&signature))
            .map_err(|_| RosterError::Forged)
    }
}

fn signed_bytes(claim: &Claim) -> Result<Vec<u8>, RosterError> {
    postcard::to_extend(claim, CONTEXT.to_vec()).map_err(|_| RosterError::Malformed)
}

/// A member, as the roster says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// What it may do.
    pub role: Role,
    /// Its name, for people.
    pub name: String,
}

/// A folder's roster.
#[derive(Clone, Debug)]
pub struct Roster {
    folder: u64,
    root: EntryId,
    entries: BTreeMap<EntryId, Entry>,
    members: BTreeMap<[u8; 32], Member>,
    /// The entries that no other which counts knew of.
    newest: BTreeSet<EntryId>,
}

impl Roster {
    /// The roster of a new folder: the founder is its owner.
    ///
    /// # Errors
    /// If the name is too long.
    pub fn found(folder: u64, key: &SecretKey, name: &str) -> Result<Roster, RosterError> {
        let claim = Claim {
            folder,
            device: *key.public().as_bytes(),
            role: Role::Owner,
            name: name.to_owned(),
            after: Vec::new(),
        };
        let entry = Entry::sign(claim, key)?;
        let mut roster = Roster::joined(folder, entry.id());
        roster.merge([entry])?;
        Ok(roster)
    }

    /// A roster of which only the first entry's name is known, from an invitation.
    #[must_use]
    pub fn joined(folder: u64, root: EntryId) -> Roster {
        Roster {
            folder,
            root,
            entries: BTreeMap::new(),
            members: BTreeMap::new(),
            newest: BTreeSet::new(),
        }
    }

    /// The name of the first entry.
    #[must_use]
    pub fn root(&self) -> EntryId {
        self.root
    }

    /// All entries, those too that do not count: others may know what makes them count.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Takes entries in, in any order, from anyone. Says whether any was new.
    ///
    /// # Errors
    /// If one of them cannot be, or there are too many; then none is taken in.
    pub fn merge(&mut self, entries: impl IntoIterator<Item = Entry>) -> Result<bool, RosterError> {
        let mut new: BTreeMap<EntryId, Entry> = BTreeMap::new();
        for entry in entries {
            let id = entry.id();
            if self.entries.contains_key(&id) || new.contains_key(&id) {
                continue;
            }
            entry.check(self.folder)?;
            new.insert(id, entry);
            if new.len() > MAX_ENTRIES {
                return Err(RosterError::Full);
            }
        }
        // Who may ever have been an owner: the founder, and whom such a one named so.
        let mut owners: BTreeSet<[u8; 32]> = BTreeSet::new();
        let all = || self.entries.iter().chain(&new);
        loop {
            let before = owners.len();
            for (id, entry) in all() {
                if *id == self.root || (owners.contains(&entry.by) && entry.claim.role == Role::Owner) {
                    owners.insert(entry.claim.device);
                }
            }
            if owners.len() == before {
                break;
            }
        }
        let named: BTreeSet<[u8; 32]> = all()
            .filter(|(_, e)| owners.contains(&e.by))
            .map(|(_, e)| e.claim.device)
            .collect();
        let of_itself = |entry: &Entry| entry.by == entry.claim.device && named.contains(&entry.by);
        new.retain(|id, entry| *id == self.root || owners.contains(&entry.by) || of_itself(entry));
        // Of what one who was never an owner says of itself, what an owner knew of is kept, and a few more: which, is the same on all devices
        // that have heard the same.
        let all = || self.entries.iter().chain(&new);
        let mut known: BTreeSet<EntryId> = BTreeSet::new();
        let by_owners = all().filter(|(_, e)| owners.contains(&e.by));
        let mut todo: Vec<EntryId> = by_owners.flat_map(|(_, e)| e.claim.after.iter().copied()).collect();
        while let Some(id) = todo.pop() {
            // (What an owner knew waits for all that this knew in its turn.)
            if known.insert(id)
                && let Some(entry) = self.entries.get(&id).or_else(|| new.get(&id))
            {
                todo.extend(&entry.claim.after);
            }
        }
        let mut others: Vec<(EntryId, [u8; 32])> = all()
            .filter(|(id, e)| !owners.contains(&e.by) && !known.contains(id))
            .map(|(id, e)| (*id, e.by))
            .collect();
        others.sort_unstable();
        let mut said: BTreeMap<[u8; 32], usize> = BTreeMap::new();
        let mut surplus: BTreeSet<EntryId> = BTreeSet::new();
        for (id, by) in others {
            let count = said.entry(by).or_default();
            *count += 1;
            if *count > MAX_OF_ITSELF {
                surplus.insert(id);
            }
        }
        if self.entries.len() + new.len() - surplus.len() > MAX_ENTRIES {
            return Err(RosterError::Full);
        }
        new.retain(|id, _| !surplus.contains(id));
        self.entries.retain(|id, _| !surplus.contains(id));
        let news = !new.is_empty();
        self.entries.append(&mut new);
        if news {
            self.derive();
        }
        Ok(news)
    }

    /// Every device that the roster names, removed ones too.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<[u8; 32], Member> {
        &self.members
    }

    /// What a device may do; `None` if it is not named.
    #[must_use]
    pub fn role(&self, device: &[u8; 32]) -> Option<Role> {
        self.members.get(device).map(|m| m.role)
    }

    /// Whether a device is told anything of the folder.
    #[must_use]
    pub fn admits(&self, device: &[u8; 32]) -> bool {
        self.role(device).is_some_and(|role| role > Role::Removed)
    }

    /// Gives a device a role (or takes all away); returns the entry that says so, for all others.
    ///
    /// # Errors
    /// [`RosterError::NotAllowed`], unless `key` is an owner's, or gives up a right of its own.
    pub fn set(&mut self, key: &SecretKey, device: [u8; 32], role: Role, name: &str) -> Result<Entry, RosterError> {
        let me = *key.public().as_bytes();
        let mine = self.role(&me).unwrap_or(Role::Removed);
        if mine != Role::Owner && !(me == device && role <= mine && mine > Role::Removed) {
            return Err(RosterError::NotAllowed);
        }
        let claim = Claim {
            folder: self.folder,
            device,
            role,
            name: name.to_owned(),
            after: self.newest.iter().copied().take(MAX_AFTER).collect(),
        };
        let entry = Entry::sign(claim, key)?;
        self.merge([entry.clone()])?;
        Ok(entry)
    }

    /// Finds out what counts, from all entries, however they came.
    fn derive(&mut self) {
        // What each entry knew, all the way down; entries whose past is not all here wait.
        let mut known: BTreeMap<EntryId, BTreeSet<EntryId>> = BTreeMap::new();
        loop {
            let ready: Vec<(EntryId, BTreeSet<EntryId>)> = self
                .entries
                .iter()
                .filter(|(id, _)| !known.contains_key(id))
                .filter_map(|(id, entry)| {
                    let mut all = BTreeSet::new();
                    for before in &entry.claim.after {
                        all.extend(known.get(before)?.iter().copied());
                        all.insert(*before);
                    }
                    Some((*id, all))
                })
                .collect();
            if ready.is_empty() {
                break;
            }
            known.extend(ready);
        }
        // By how much they knew: whatever an entry depends on comes before it.
        let mut order: Vec<EntryId> = known.keys().copied().collect();
        order.sort_by_key(|id| (known[id].len(), *id));
        // The fewer entries were known when a device was first named, the more senior it is.
        let mut seniority: BTreeMap<[u8; 32], (usize, EntryId)> = BTreeMap::new();
        for id in &self.counting(&order, &known, &BTreeSet::new()) {
            let place = (known[id].len(), *id);
            let by = seniority.entry(self.entries[id].claim.device).or_insert(place);
            *by = (*by).min(place);
        }
        // Entries by devices that were taken out, or made less, without knowing of them never count (rule 4). Whether what takes out counts may
        // itself hang on that: each round strikes one entry, of the most junior device (rule 5), until there is none to strike.
        let mut struck: BTreeSet<EntryId> = BTreeSet::new();
        let counting = loop {
            let counting = self.counting(&order, &known, &struck);
            let removals: Vec<(EntryId, [u8; 32])> = counting
                .iter()
                .filter(|id| self.entries[id].claim.role < Role::Owner)
                .map(|id| (*id, self.entries[id].claim.device))
                .collect();
            let against = counting.iter().copied().filter(|id| {
                let entry = &self.entries[id];
                let unknown = |(removal, device): &(EntryId, [u8; 32])| {
                    let apart = !known[removal].contains(id) && !known[id].contains(removal);
                    *device == entry.by && removal != id && apart && self.entries[removal].by != entry.by
                };
                // What a device says of itself takes nothing from anyone.
                let of_itself = entry.by == entry.claim.device;
                *id != self.root && !of_itself && removals.iter().any(unknown)
            });
            let next = against.max_by_key(|id| (seniority.get(&self.entries[id].by).copied(), *id));
            match next {
                Some(id) => struck.insert(id),
                None => break counting,
            };
        };
        self.members.clear();
        let mut about: BTreeMap<[u8; 32], Vec<EntryId>> = BTreeMap::new();
        for id in &counting {
            about.entry(self.entries[id].claim.device).or_default().push(*id);
        }
        for (device, ids) in about {
            let last = ids
                .iter()
                .filter(|id| !ids.iter().any(|other| known[other].contains(id)))
                .map(|id| &self.entries[id].claim)
                .min_by_key(|claim| (claim.role, claim.name.clone()));
            if let Some(claim) = last {
                let (role, name) = (claim.role, claim.name.clone());
                self.members.insert(device, Member { role, name });
            }
        }
        self.newest = counting
            .iter()
            .filter(|id| !counting.iter().any(|other| known[other].contains(id)))
            .copied()
            .collect();
    }

    /// The entries that count, but for `struck` ones and what hangs on them.
    fn counting(
        &self,
        order: &[EntryId],
        known: &BTreeMap<EntryId, BTreeSet<EntryId>>,
        struck: &BTreeSet<EntryId>,
    ) -> BTreeSet<EntryId> {
        let mut counting: BTreeSet<EntryId> = BTreeSet::new();
        for id in order.iter().filter(|id| !struck.contains(id)) {
            let entry = &self.entries[id];
            if entry.claim.after.is_empty() {
                if *id == self.root {
                    counting.insert(*id);
                }
                continue;
            }
            if !entry.claim.after.iter().all(|before| counting.contains(before)) {
                continue;
            }
            // The signer's role in what the entry knew.
            let past: Vec<EntryId> = known[id].iter().filter(|k| counting.contains(k)).copied().collect();
            let about = |device: &[u8; 32]| {
                let ids: Vec<&EntryId> = past.iter().filter(|p| self.entries[p].claim.device == *device).collect();
                let last = ids.iter().filter(|p| !ids.iter().any(|other| known[*other].contains(p)));
                last.map(|p| self.entries[*p].claim.role).min()
            };
            let role = about(&entry.by).unwrap_or(Role::Removed);
            let own = entry.claim.device == entry.by && entry.claim.role <= role && role > Role::Removed;
            if role == Role::Owner || own {
                counting.insert(*id);
            }
        }
        counting
    }
}
