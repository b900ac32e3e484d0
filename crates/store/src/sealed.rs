//! Values as they stand in a row: postcard, then a check. SQLite does not notice when a disk gives back other bytes than it
//! got, and a name with one wrong letter would look like a file that the user has renamed.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the check.
const CHECK_BYTES: usize = 4;

/// Seals values, one after the other, in one buffer.
#[derive(Default)]
pub(crate) struct Sealer {
    bytes: Vec<u8>,
}

impl Sealer {
    /// The sealed value. `place` stands for where the row is (whose, under which key): the same bytes in another row are not valid.
    pub(crate) fn seal(&mut self, place: u64, value: &impl Serialize) -> Result<&[u8], postcard::Error> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.bytes = postcard::to_extend(value, bytes)?;
        let check = check(place, &self.bytes);
        self.bytes.extend_from_slice(&check);
        Ok(&self.bytes)
    }
}

/// The value; `None` if the bytes are not those that were sealed for this place.
pub(crate) fn open<T: DeserializeOwned>(place: u64, sealed: &[u8]) -> Option<T> {
    let (body, found) = sealed.split_last_chunk::<CHECK_BYTES>()?;
    if *found != check(place, body) {
        return None;
    }
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

/// Whether the bytes are what [`Sealer::seal`] makes of a value that is encoded as `body`.
pub(crate) fn holds(place: u64, sealed: &[u8], body: &[u8]) -> bool {
    sealed
        .split_last_chunk::<CHECK_BYTES>()
        .is_some_and(|(found, seal)| found == body && *seal == check(place, body))
}

/// A check against accidents, not against anyone's will: an error within eight bytes always changes the state, any other one
/// is missed once in 2^32. Some 20 ns for a row.
///
/// Source: FNV-1a (Fowler, Noll, Vo), over words instead of bytes, with a shift after each to bring high bits down.
fn check(place: u64, bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut state = mix(0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64, place);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = mix(state, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    state = mix(mix(state, u64::from_le_bytes(last)), 0);
    ((state >> 32) as u32 ^ state as u32).to_le_bytes()
}

/// For each `word` another permutation of the states.
pub(crate) fn mix(state: u64, word: u64) -> u64 {
    let state = (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state ^ (state >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let value = ("a name.txt".to_owned(), vec![1u64, u64::MAX, 7], Some(9i64));
        let mut sealer = Sealer::default();
        let sealed = sealer.seal(5, &value).unwrap().to_vec();
        assert_eq!(open(5, &sealed), Some(value.clone()));
        assert_eq!(open::<(String, Vec<u64>, Option<i64>)>(6, &sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut other = sealed.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open::<(String, Vec<u64>, Option<i64>)>(5, &other), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(open::<(String, Vec<u64>, Option<i64>)>(5, &sealed[..length]), None);
        }
    }
}
