//! Many cells at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Has several threads do `cell` for each of `cells`, and returns in their order. Each thread makes
/// itself what it needs.
pub(crate) fn each<T, W, R>(
    threads: usize,
    cells: &[T],
    worker: impl Fn() -> W + Sync,
    cell: impl Fn(&mut W, usize, &T) -> R + Sync,
) -> Vec<R>
where
    T: Sync,
    R: Send,
{
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(cells.len()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut worker = worker();
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let Some(one) = cells.get(at) else { return };
                    let answer = cell(&mut worker, at, one);
                    done.lock().unwrap().push((at, answer));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, answer)| answer).collect()
}
