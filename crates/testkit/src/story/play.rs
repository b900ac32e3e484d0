//! Playing a story on a stage.

use super::check::{Seen, Tree, check, list, matches};
use super::{Order, Story};
use crate::world::Listing;

/// Where a story is played: the simulated world, or the real program.
pub trait Stage {
    /// Does what a line says; never one that says what must hold.
    ///
    /// # Errors
    /// What went wrong.
    fn order(&mut self, order: &Order) -> Result<(), String>;
    /// Whether the story ended early: what was to happen at some moment cannot, because there are not so many.
    fn is_over(&self) -> bool {
        false
    }
    /// What is the user's on a device.
    fn tree(&self, device: usize) -> Tree;
    /// What the history of a device keeps.
    fn history(&self, device: usize) -> Vec<Vec<u8>>;
    /// The names of the disk itself, of what is in a device's root.
    fn names_on_disk(&self, device: usize) -> Vec<String>;
    /// What the program listed last.
    fn listing(&self) -> &Listing;
}

/// Plays a story.
///
/// # Errors
/// The first line that went wrong, and how.
pub fn play(story: &Story, stage: &mut dyn Stage) -> Result<(), String> {
    for line in &story.lines {
        let done = match &line.order {
            Order::Expect(expect) => {
                let trees: Vec<Tree> = (0..story.devices.len()).map(|d| stage.tree(d)).collect();
                let seen = Seen {
                    devices: &story.devices,
                    trees: &trees,
                    histories: &|d| stage.history(d),
                    names_on_disk: &|d| stage.names_on_disk(d),
                    listing: stage.listing(),
                };
                check(expect, &seen)
            }
            // A name that is marked is known only once it is there.
            Order::Pick(device, pattern, side) if pattern.contains('*') => {
                let tree = stage.tree(*device);
                match tree.keys().find(|path| matches(pattern, path)) {
                    Some(path) => stage.order(&Order::Pick(*device, path.clone(), *side)),
                    None => Err(format!("nothing is at {pattern}")),
                }
            }
            order => stage.order(order),
        };
        done.map_err(|message| {
            let trees = story
                .devices
                .iter()
                .enumerate()
                .map(|(d, name)| format!("  {name}:\n{}", list(&stage.tree(d))));
            let trees: String = trees.collect();
            format!("line {}: {message}\n{trees}  {:?}", line.number, stage.listing())
        })?;
        if stage.is_over() {
            break;
        }
    }
    Ok(())
}
