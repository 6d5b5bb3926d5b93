//! Says when something in a set of folders may have changed.

use std::collections::HashSet;
use std::path::PathBuf;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tracing::warn;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    /// A file was written to its end, made, renamed or removed.
    Done,
    /// A file is being written.
    Writing,
}

/// Watches folders rather than files: editors write another file and rename it.
#[derive(Debug)]
pub(crate) struct Watch {
    /// `None` if the system has no watches left: then looking at the clock has to do.
    watcher: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
    touched: mpsc::UnboundedReceiver<Touched>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        let (sender, touched) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // After an error something may have been missed: look.
            let touched = event.map_or(Some(Touched::Done), |event| judge(event.kind));
            if let Some(touched) = touched {
                let _ = sender.send(touched);
            }
        });
        let watcher = watcher
            .inspect_err(|error| warn!(%error, "files cannot be watched; looking every 2 s"))
            .ok();
        Self { watcher, watched: HashSet::new(), touched }
    }

    /// Whether changes are told; if not, look at the clock.
    pub(crate) fn works(&self) -> bool {
        self.watcher.is_some()
    }

    /// Watches exactly these folders from now on.
    pub(crate) fn set(&mut self, folders: Vec<PathBuf>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let wanted: HashSet<PathBuf> = folders.into_iter().collect();
        for gone in self.watched.difference(&wanted) {
            // It may be gone itself.
            let _ = watcher.unwatch(gone);
        }
        let mut failed = None;
        for folder in wanted.difference(&self.watched) {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                failed = Some((folder.clone(), error));
            }
        }
        self.watched = wanted;
        if let Some((folder, error)) = failed {
            let folder = folder.display();
            warn!(%folder, %error, "a folder cannot be watched; looking every 2 s");
            self.watcher = None;
        }
    }

    /// The next thing that happened; never if nothing is told.
    pub(crate) async fn next(&mut self) -> Touched {
        match self.touched.recv().await {
            Some(touched) => touched,
            None => std::future::pending().await,
        }
    }

    /// What has happened in the meantime is looked at together.
    pub(crate) fn drain(&mut self) {
        while self.touched.try_recv().is_ok() {}
    }
}

fn judge(kind: EventKind) -> Option<Touched> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Touched::Done),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_)) => Some(Touched::Writing),
        // A new file is empty until it is written; a rename is told as a modification.
        EventKind::Create(notify::event::CreateKind::File) => Some(Touched::Writing),
        _ => Some(Touched::Done),
    }
}
