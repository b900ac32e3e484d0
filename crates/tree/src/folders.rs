//! What is in which directory, and under which name: the index of children, of nodes and of records. All at a constant cost,
//! but for a name that several share.

use crate::set::Number;
use hashbrown::HashTable;
use std::marker::PhantomData;

const NONE: u32 = u32::MAX;

/// Where an item stands, and its neighbours there.
#[derive(Clone, Copy, Debug)]
struct Link {
    parent: u32,
    /// Of its name, as the disk takes names.
    hash: u32,
    first_child: u32,
    next: u32,
    previous: u32,
}

const NOWHERE: Link = Link {
    parent: NONE,
    hash: 0,
    first_child: NONE,
    next: NONE,
    previous: NONE,
};

/// Items in items, with hashes of names.
#[derive(Debug)]
#[cfg_attr(feature = "faults", derive(Clone))]
pub(crate) struct Folders<T> {
    links: Vec<Link>,
    named: HashTable<u32>,
    of: PhantomData<T>,
}

impl<T: Number> Folders<T> {
    pub(crate) fn new() -> Folders<T> {
        Folders {
            links: Vec::new(),
            named: HashTable::new(),
            of: PhantomData,
        }
    }

    /// Puts an item, which is nowhere, into another.
    pub(crate) fn insert(&mut self, item: T, parent: T, hash: u32) {
        let (item, parent) = (item.number(), parent.number());
        while self.links.len() <= item.max(parent) as usize {
            push(&mut self.links, NOWHERE);
        }
        let next = std::mem::replace(&mut self.links[parent as usize].first_child, item);
        if let Some(next) = self.links.get_mut(next as usize) {
            next.previous = item;
        }
        let link = &mut self.links[item as usize];
        debug_assert!(link.parent == NONE);
        (link.parent, link.hash, link.next, link.previous) = (parent, hash, next, NONE);
        let links = &self.links;
        let rehash = |i: &u32| key(links[*i as usize].parent, links[*i as usize].hash);
        self.named.insert_unique(key(parent, hash), item, rehash);
    }

    /// Takes an item out of the one that it is in. What is in it stays there.
    pub(crate) fn remove(&mut self, item: T) {
        let item = item.number();
        let Some(link) = self.links.get(item as usize).copied().filter(|l| l.parent != NONE) else {
            return;
        };
        if let Ok(entry) = self.named.find_entry(key(link.parent, link.hash), |i| *i == item) {
            entry.remove();
        }
        match self.links.get_mut(link.previous as usize) {
            Some(previous) => previous.next = link.next,
            None => self.links[link.parent as usize].first_child = link.next,
        }
        if let Some(next) = self.links.get_mut(link.next as usize) {
            next.previous = link.previous;
        }
        let link = &mut self.links[item as usize];
        (link.parent, link.next, link.previous) = (NONE, NONE, NONE);
    }

    /// All items in one whose names have this hash; they may be different names.
    pub(crate) fn named(&self, parent: T, hash: u32) -> impl Iterator<Item = T> + '_ {
        let parent = parent.number();
        self.named
            .iter_hash(key(parent, hash))
            .filter(move |i| {
                let link = &self.links[**i as usize];
                link.parent == parent && link.hash == hash
            })
            .map(|i| T::from_number(*i))
    }

    /// All items in one.
    pub(crate) fn inside(&self, parent: T) -> impl Iterator<Item = T> + '_ {
        let first = self.links.get(parent.number() as usize).map_or(NONE, |l| l.first_child);
        let next = |i: u32| (i != NONE).then_some(i);
        std::iter::successors(next(first), move |i| next(self.links[*i as usize].next)).map(T::from_number)
    }
}

/// The hash of a name is already one that nobody outside can foresee.
fn key(parent: u32, hash: u32) -> u64 {
    let both = u128::from(u64::from(parent) << 32 | u64::from(hash)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (both ^ (both >> 64)) as u64
}

/// Adds to a vector that may become very long, and grows it by no more than an eighth.
pub(crate) fn push<T>(items: &mut Vec<T>, item: T) {
    if items.len() == items.capacity() {
        items.reserve_exact((items.len() / 8).max(16));
    }
    items.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn it_finds_what_was_put_there(changes in prop::collection::vec((0u32..40, 0u32..6, 0u32..4), 0..200)) {
            let mut folders: Folders<u32> = Folders::new();
            let mut reference: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
            for (item, parent, hash) in changes {
                if reference.remove(&item).is_some() {
                    folders.remove(item);
                } else {
                    folders.insert(item, parent, hash);
                    reference.insert(item, (parent, hash));
                }
            }
            for parent in 0..6 {
                let inside: BTreeSet<u32> = folders.inside(parent).collect();
                let want = reference.iter().filter(|(_, (p, _))| *p == parent).map(|(i, _)| *i);
                prop_assert_eq!(inside, want.collect::<BTreeSet<_>>());
                for hash in 0..4 {
                    let named: BTreeSet<u32> = folders.named(parent, hash).collect();
                    let want = reference.iter().filter(|(_, at)| **at == (parent, hash)).map(|(i, _)| *i);
                    prop_assert_eq!(named, want.collect::<BTreeSet<_>>());
                }
            }
        }
    }
}
