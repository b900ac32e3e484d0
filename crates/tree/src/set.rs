//! Sets of numbers that are given out from 0 on, and freed and given out again: a bit for each.

use std::marker::PhantomData;

/// What is numbered.
pub(crate) trait Number: Copy {
    fn number(self) -> u32;
    fn from_number(number: u32) -> Self;
}

/// A set of numbers. Everything but going through it costs the same however many there are; going through it costs a little
/// for each 64 that there might be.
#[cfg_attr(feature = "faults", derive(Clone))]
pub(crate) struct Set<T> {
    bits: Vec<u64>,
    len: usize,
    of: PhantomData<T>,
}

impl<T> Default for Set<T> {
    fn default() -> Set<T> {
        Set {
            bits: Vec::new(),
            len: 0,
            of: PhantomData,
        }
    }
}

impl<T> std::fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} numbers", self.len)
    }
}

impl<T: Number> Set<T> {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Says whether it was not in there.
    pub(crate) fn insert(&mut self, item: T) -> bool {
        let (word, bit) = place(item);
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        let is_new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        self.len += usize::from(is_new);
        is_new
    }

    /// Says whether it was in there.
    pub(crate) fn remove(&mut self, item: T) -> bool {
        let was = self.contains(item);
        if was {
            let (word, bit) = place(item);
            self.bits[word] &= !bit;
            self.len -= 1;
        }
        was
    }

    pub(crate) fn contains(&self, item: T) -> bool {
        let (word, bit) = place(item);
        self.bits.get(word).is_some_and(|b| b & bit != 0)
    }

    pub(crate) fn clear(&mut self) {
        self.bits.clear();
        self.len = 0;
    }

    /// In rising order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        (0u32..)
            .step_by(64)
            .zip(&self.bits)
            .filter(|(_, bits)| **bits != 0)
            .flat_map(|(first, bits)| ones(first, *bits))
            .map(T::from_number)
    }

    /// Those that are not in `other`, in rising order.
    pub(crate) fn without<'a>(&'a self, other: &'a Set<T>) -> impl Iterator<Item = T> + 'a {
        let others = other.bits.iter().copied().chain(std::iter::repeat(0));
        (0u32..)
            .step_by(64)
            .zip(self.bits.iter().zip(others).map(|(bits, other)| bits & !other))
            .filter(|(_, bits)| *bits != 0)
            .flat_map(|(first, bits)| ones(first, bits))
            .map(T::from_number)
    }
}

impl<T: Number> Extend<T> for Set<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.insert(item);
        }
    }
}

fn place<T: Number>(item: T) -> (usize, u64) {
    let number = item.number();
    ((number / 64) as usize, 1 << (number % 64))
}

/// The numbers of the bits that are set.
fn ones(first: u32, mut bits: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let at = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        (at < 64).then_some(first + at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    impl Number for u32 {
        fn number(self) -> u32 {
            self
        }
        fn from_number(number: u32) -> u32 {
            number
        }
    }

    proptest! {
        #[test]
        fn it_is_a_set(changes in prop::collection::vec((0u32..300, any::<bool>()), 0..200), other in prop::collection::btree_set(0u32..300, 0..200)) {
            let (mut set, mut reference, mut without) = (Set::default(), BTreeSet::new(), Set::default());
            without.extend(other.iter().copied());
            for (number, add) in changes {
                if add {
                    prop_assert_eq!(set.insert(number), reference.insert(number));
                } else {
                    prop_assert_eq!(set.remove(number), reference.remove(&number));
                }
                prop_assert_eq!(set.contains(number), add);
            }
            prop_assert_eq!(set.len(), reference.len());
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), reference.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.without(&without).collect::<Vec<_>>(), reference.difference(&other).copied().collect::<Vec<_>>());
        }
    }
}
