//! How many bytes a second may go out and come in, for all peers together and for each; changeable at any time.

use crate::identity::DeviceId;
use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Bytes are let pass in parts of at most so many.
const PART: u32 = 16 << 10;

/// So often it is looked whether a limit is another one now.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Bytes a second; `None` where nothing is limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Out of this device.
    pub up: Option<u32>,
    /// Into it.
    pub down: Option<u32>,
}

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Out of this device.
    Up,
    /// Into it.
    Down,
}

/// A limit, and the queue of those who wait for it: each is let pass a part at a time, in the order in which they came, or else
/// someone might wait for good beside others that are many.
struct Queued {
    limiter: DefaultDirectRateLimiter,
    queue: tokio::sync::Mutex<()>,
}

type Limiter = Option<Arc<Queued>>;

#[derive(Default)]
struct Pair {
    rates: Rates,
    up: Limiter,
    down: Limiter,
}

impl Pair {
    fn new(rates: Rates) -> Pair {
        let limiter = |rate: Option<u32>| {
            let rate = NonZeroU32::new(rate?.max(1024))?;
            let burst = NonZeroU32::new((rate.get() / 4).max(PART))?;
            Some(Arc::new(Queued {
                limiter: RateLimiter::direct(Quota::per_second(rate).allow_burst(burst)),
                queue: tokio::sync::Mutex::default(),
            }))
        };
        Pair {
            rates,
            up: limiter(rates.up),
            down: limiter(rates.down),
        }
    }

    fn get(&self, way: Way) -> Limiter {
        match way {
            Way::Up => self.up.clone(),
            Way::Down => self.down.clone(),
        }
    }
}

/// The limits of this device.
#[derive(Default)]
pub struct Limits {
    all: Mutex<Pair>,
    each: Mutex<BTreeMap<DeviceId, Pair>>,
}

impl Limits {
    /// Sets what all peers share, or what one of them gets.
    pub fn set(&self, device: Option<DeviceId>, rates: Rates) {
        match device {
            None => {
                if let Ok(mut all) = self.all.lock() {
                    *all = Pair::new(rates);
                }
            }
            Some(device) => {
                if let Ok(mut each) = self.each.lock() {
                    each.insert(device, Pair::new(rates));
                }
            }
        }
    }

    /// What is set.
    #[must_use]
    pub fn get(&self) -> (Rates, BTreeMap<DeviceId, Rates>) {
        let all = self.all.lock().map_or(Rates::default(), |pair| pair.rates);
        let each = self.each.lock();
        let each = each.map(|each| each.iter().map(|(device, pair)| (*device, pair.rates)).collect());
        (all, each.unwrap_or_default())
    }

    /// Waits until so many bytes may go.
    pub async fn pass(&self, device: DeviceId, way: Way, bytes: usize) {
        let all = || self.all.lock().ok().and_then(|pair| pair.get(way));
        let each = || self.each.lock().ok().and_then(|each| each.get(&device)?.get(way));
        let limiters: [&(dyn Fn() -> Limiter + Sync); 2] = [&all, &each];
        for limiter in limiters {
            let mut left = u32::try_from(bytes).unwrap_or(u32::MAX);
            while let Some(part) = NonZeroU32::new(left.min(PART)) {
                let Some(queued) = limiter() else { break };
                let first = queued.queue.lock().await;
                // It may be another one by now.
                while limiter().is_some_and(|now| Arc::ptr_eq(&now, &queued)) {
                    match queued.limiter.check_n(part) {
                        Ok(Ok(())) => {
                            left -= part.get();
                            break;
                        }
                        Ok(Err(wait)) => {
                            let now = governor::clock::DefaultClock::default().now();
                            tokio::time::sleep(wait.wait_time_from(now).min(LOOK_AGAIN)).await;
                        }
                        Err(_) => {
                            left = 0; // (a part is never more than the burst)
                            break;
                        }
                    }
                }
                drop(first);
            }
        }
    }
}
