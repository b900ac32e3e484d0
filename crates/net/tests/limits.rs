//! Limits: who wants little is not kept waiting by those who want much.
#![allow(clippy::unwrap_used, reason = "tests")]

use bifold_net::identity::DeviceId;
use bifold_net::limits::{Limits, Rates, Way};
use std::future::Future as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PART: usize = 16 << 10;

#[tokio::test]
async fn who_wants_much_leaves_room_for_others() {
    let limits = Arc::new(Limits::default());
    limits.set(
        None,
        Rates {
            up: None,
            down: Some(4 << 20),
        },
    );
    let device = DeviceId([7; 32]);
    let passed = Arc::new(AtomicUsize::new(0));
    // As in a download: all are parts of one task, and are looked at in one order.
    let mut many: Vec<_> = (0..8)
        .map(|_| {
            let (limits, passed) = (limits.clone(), passed.clone());
            Box::pin(async move {
                while passed.load(Ordering::Relaxed) < usize::MAX {
                    limits.pass(device, Way::Down, PART).await;
                    passed.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut one = Box::pin(limits.pass(device, Way::Down, 16 * PART));
    std::future::poll_fn(|cx| {
        for other in &mut many {
            assert!(other.as_mut().poll(cx).is_pending());
        }
        if passed.load(Ordering::Relaxed) > 1000 {
            return std::task::Poll::Ready(());
        }
        one.as_mut().poll(cx)
    })
    .await;
    let meanwhile = passed.load(Ordering::Relaxed);
    assert!(meanwhile <= 8 * 18 + 64, "{meanwhile} parts went to others before 16");
}
