//! Making what failed smaller.

use super::Deed;
use super::play::Failed;

/// Takes deeds away as long as what is left fails too, and says how the last of these failed. `fails` plays deeds: where not each play
/// of the same deeds goes the same way, it plays them several times, and fails if one does.
pub fn shrink(deeds: &[Deed], failed: Failed, fails: &mut dyn FnMut(&[Deed]) -> Option<Failed>) -> (Vec<Deed>, Failed) {
    let (mut deeds, mut failed) = (deeds.to_vec(), failed);
    let mut size = deeds.len() / 2;
    while size > 0 {
        let mut from = 0;
        let mut shrunk = false;
        while from < deeds.len() {
            let to = (from + size).min(deeds.len());
            let mut fewer = deeds.clone();
            fewer.drain(from..to);
            match fails(&fewer) {
                Some(now) => {
                    (deeds, failed) = (fewer, now);
                    shrunk = true;
                }
                None => from = to,
            }
        }
        // Single ones again and again, until none can go.
        size = if size == 1 && shrunk { 1 } else { size / 2 };
    }
    (deeds, failed)
}
