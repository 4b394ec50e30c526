//! A future that is polled again at once when it wakes itself.
//!
//! hyper's parts wake each other: who takes a piece of a body wakes who reads the next
//! one from the socket, and both are the task of the same connection. The runtime puts
//! a task that is woken while it runs at the end of its queue, and wakes another thread
//! to look at that queue, at each call: more work than a second look here.
//!
//! Promises: no waking is lost. Must never: keep a thread for itself.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::proxy::locked;

/// How often in a row, until others have their turn: for a call twice is enough.
const IN_A_ROW: u32 = 4;

thread_local! {
    /// Which of all [`Link`]s is being polled on this thread, by its address; 0: none.
    static POLLED: Cell<usize> = const { Cell::new(0) };
}

/// A future that is polled again at once when it wakes itself.
#[derive(Debug)]
pub struct Again<F> {
    future: F,
    link: Arc<Link>,
    /// The link as a waker.
    waker: Waker,
}

/// Between the future and its task.
#[derive(Debug)]
struct Link {
    task: Mutex<Waker>,
    /// It woke itself while it was polled.
    again: AtomicBool,
}

impl<F> Again<F> {
    /// This future.
    pub fn new(future: F) -> Again<F> {
        let link = Link { task: Mutex::new(Waker::noop().clone()), again: AtomicBool::new(false) };
        let link = Arc::new(link);
        Again { future, waker: Waker::from(link.clone()), link }
    }

    /// The future itself.
    pub fn inner(&mut self) -> &mut F {
        &mut self.future
    }
}

impl<F: Future + Unpin> Future for Again<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        {
            let mut task = locked(&this.link.task);
            if !task.will_wake(cx.waker()) {
                task.clone_from(cx.waker());
            }
        }
        for _ in 0..IN_A_ROW {
            this.link.again.store(false, Ordering::Relaxed);
            let polled = {
                let _polling = Polling::of(&this.link);
                Pin::new(&mut this.future).poll(&mut Context::from_waker(&this.waker))
            };
            if polled.is_ready() || !this.link.again.load(Ordering::Relaxed) {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Link {
    fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self) as usize
    }
}

impl Wake for Link {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if POLLED.get() == self.address() {
            self.again.store(true, Ordering::Relaxed);
        } else {
            // From elsewhere, or later.
            let task = locked(&self.task).clone();
            task.wake();
        }
    }
}

/// As long as it lives, its link is being polled on this thread.
struct Polling {
    before: usize,
}

impl Polling {
    fn of(link: &Arc<Link>) -> Polling {
        Polling { before: POLLED.replace(link.address()) }
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        POLLED.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts how often its task is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls a future that wakes itself so often; how often it was polled, and its task
    /// woken.
    fn polled(times: usize) -> (usize, usize) {
        let (mut polls, woken) = (0, Arc::new(Woken::default()));
        let mut again = Again::new(poll_fn(|cx| {
            polls += 1;
            if polls <= times {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        }));
        let waker = Waker::from(woken.clone());
        assert!(Pin::new(&mut again).poll(&mut Context::from_waker(&waker)).is_pending());
        (polls, woken.0.load(Ordering::Relaxed))
    }

    #[test]
    fn who_wakes_itself_is_polled_again_without_its_task() {
        assert_eq!(polled(0), (1, 0));
        assert_eq!(polled(1), (2, 0));
        assert_eq!(polled(3), (4, 0));
    }

    #[test]
    fn who_wakes_itself_for_ever_lets_others_have_their_turn() {
        assert_eq!(polled(usize::MAX), (IN_A_ROW as usize, 1));
    }

    #[test]
    fn who_is_woken_later_or_from_elsewhere_wakes_its_task() {
        let woken = Arc::new(Woken::default());
        let mut kept = None;
        let mut again = Again::new(poll_fn(|cx| {
            let waker = cx.waker().clone();
            std::thread::spawn(move || waker.wake()).join().expect("woken");
            kept = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        let waker = Waker::from(woken.clone());
        assert!(Pin::new(&mut again).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(again);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        kept.expect("polled").wake();
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn of_two_that_are_polled_within_each_other_each_is_woken_for_itself() {
        let mut outer_polls = 0;
        let mut inner = Again::new(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Ready(())
        }));
        let mut outer = Again::new(poll_fn(|cx| {
            outer_polls += 1;
            let _ = Pin::new(&mut inner).poll(cx);
            if outer_polls == 1 {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        }));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        assert!(Pin::new(&mut outer).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(outer);
        assert_eq!((outer_polls, woken.0.load(Ordering::Relaxed)), (2, 0));
    }
}
