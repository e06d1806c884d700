//! A node's way to the network: it knows the node's listener and connections, closes them and waits for their end.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// The tasks that hold a node's sockets.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: bool,
    next: u64,
    /// A task is listed before it runs; its handle follows once there is one.
    tasks: HashMap<u64, Option<AbortHandle>>,
}

/// Strikes a task off the gate's list when it ends.
struct Listed {
    gate: Arc<Gate>,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.gate.state.lock().tasks.remove(&self.number);
        self.gate.changed.notify_all();
    }
}

impl Gate {
    /// Opens the gate and runs the task that accepts connections.
    pub(crate) fn open(
        self: &Arc<Self>,
        handle: &Handle,
        accept: impl Future<Output = ()> + Send + 'static,
    ) {
        self.state.lock().open = true;
        self.admit(handle, accept);
    }

    /// Runs a task that holds a socket, unless the gate is closed: then the task and its socket are dropped.
    pub(crate) fn admit(
        self: &Arc<Self>,
        handle: &Handle,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let Some(listed) = self.list() else {
            return;
        };
        let number = listed.number;
        // No lock is held here: a worker that has stopped drops the task, and with it its place on the list, at once.
        let running = handle.spawn(async move {
            let listed = listed;
            task.await;
            drop(listed);
        });
        let mut state = self.state.lock();
        if !state.open {
            running.abort();
        } else if let Some(place) = state.tasks.get_mut(&number) {
            *place = Some(running.abort_handle());
        }
    }

    fn list(self: &Arc<Self>) -> Option<Listed> {
        let mut state = self.state.lock();
        if !state.open {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.tasks.insert(number, None);
        Some(Listed {
            gate: Arc::clone(self),
            number,
        })
    }

    /// Ends all tasks and waits until their sockets are closed; tells whether that came true in time.
    pub(crate) fn close(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        state.open = false;
        state.tasks.values().flatten().for_each(AbortHandle::abort);
        while !state.tasks.is_empty() {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return state.tasks.is_empty();
            }
        }
        true
    }
}
