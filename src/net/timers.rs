//! Drives what queues do when their time has come.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::clock::now;
use crate::session::Host;

/// Looks at queues when they ask for it, until the server stops.
pub(super) async fn drive(host: Arc<Host>, shutdown: CancellationToken) {
    let changed = Arc::new(Notify::new());
    host.on_deadline_change({
        let changed = Arc::clone(&changed);
        Box::new(move || changed.notify_one())
    });
    loop {
        let deadline = host.next_deadline();
        let elapsed = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = changed.notified() => {}
            () = elapsed => {
                host.handle_timeouts(now());
                // A million messages that expire together let others in between.
                tokio::task::yield_now().await;
            }
        }
    }
}
