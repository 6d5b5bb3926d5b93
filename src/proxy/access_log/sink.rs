//! Where lines go.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::access_log::Entry;

/// Lines that wait to be written; more are dropped.
const QUEUE: usize = 16 * 1024;
/// How often a file is looked at for having been renamed.
const LOOK: Duration = Duration::from_secs(1);

/// Writes access-log lines. All clones write to the same place; what was written is flushed when
/// nothing more waits.
#[derive(Clone)]
pub struct AccessLog(Arc<Inner>);

struct Inner {
    queue: SyncSender<Job>,
    dropped: AtomicU64,
}

enum Job {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

impl AccessLog {
    /// To standard output.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn stdout() -> io::Result<Self> {
        Self::start(Out::Stdout(io::stdout()))
    }

    /// To the end of a file, which is made if it is not there. After it was renamed, a new one is
    /// begun, so that it can be rotated.
    ///
    /// # Errors
    /// If it cannot be opened, or the system gives no thread.
    pub fn file(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        let file = BufWriter::new(append(&path)?);
        Self::start(Out::File { path, file, looked: Instant::now() })
    }

    fn start(out: Out) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        std::thread::Builder::new().name("access-log".into()).spawn(move || run(out, &jobs))?;
        Ok(Self(Arc::new(Inner { queue, dropped: AtomicU64::new(0) })))
    }

    /// Hands a line to the writer, or drops it if too many wait.
    pub(crate) fn write(&self, entry: &Entry<'_>) {
        if self.0.queue.try_send(Job::Line(entry.to_line())).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Returns when all lines handed over before are written. Blocks: to be called at the end.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.0.queue.send(Job::Flush(done)).is_ok() {
            // An error means that the writer is gone, and its lines with it.
            let _ = wait.recv();
        }
    }
}

enum Out {
    Stdout(io::Stdout),
    File { path: PathBuf, file: BufWriter<File>, looked: Instant },
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.write_all(bytes),
            Self::File { file, .. } => file.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File { file, .. } => file.flush(),
        }
    }

    /// Begins a new file if the old one was renamed or removed.
    fn look(&mut self) -> io::Result<()> {
        let Self::File { path, file, looked } = self else {
            return Ok(());
        };
        if looked.elapsed() < LOOK {
            return Ok(());
        }
        *looked = Instant::now();
        let ours = file.get_ref().metadata()?;
        let same = std::fs::metadata(&*path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
        if !same {
            file.flush()?;
            *file = BufWriter::new(append(path)?);
        }
        Ok(())
    }
}

fn run(mut out: Out, jobs: &Receiver<Job>) {
    let mut complained = false;
    loop {
        let job = match jobs.recv_timeout(LOOK) {
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut flushed = Vec::new();
        let mut outcome = out.look();
        for job in job.into_iter().chain(jobs.try_iter()) {
            match job {
                Job::Line(line) => outcome = outcome.and(out.write(&line)),
                Job::Flush(done) => flushed.push(done),
            }
        }
        outcome = outcome.and(out.flush());
        if let Err(error) = &outcome
            && !std::mem::replace(&mut complained, true)
        {
            tracing::error!(%error, "the access log cannot be written");
        }
        complained &= outcome.is_err();
        for done in flushed {
            let _ = done.send(());
        }
    }
    // The last lines are worth a try, and there is nobody left to tell.
    let _ = out.flush();
}
