//! One back end: a server that can be stopped and started again on the same port.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::demo::{Shared, pages};

/// A back end by name and address.
#[derive(Debug)]
pub(super) struct BackEnd {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    /// Whether it runs; its sockets end when it does not.
    running: watch::Sender<bool>,
}

impl BackEnd {
    /// Finds a free port for it.
    pub(super) async fn bind(name: &'static str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for a back end")?;
        let address = listener.local_addr().context("no port for a back end")?;
        Ok(Self { name, address, running: watch::Sender::new(false) })
    }

    pub(super) fn is_running(&self) -> bool {
        *self.running.borrow()
    }

    /// Told when it stops.
    pub(super) fn running(&self) -> Running {
        Running(self.running.subscribe())
    }

    /// Starts it, unless it runs.
    pub(super) fn start(&self, shared: Arc<Shared>) -> anyhow::Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let listener =
            listen(self.address).with_context(|| format!("the port of {} is taken", self.name))?;
        self.running.send_replace(true);
        tokio::spawn(serve(self.name, listener, self.running(), shared));
        Ok(())
    }

    /// Stops it: its port closes, and its sockets end with 1001 (going away, RFC 6455 7.4.1).
    pub(super) fn stop(&self) {
        self.running.send_replace(false);
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Says when a back end stops.
#[derive(Clone, Debug)]
pub(super) struct Running(watch::Receiver<bool>);

impl Running {
    /// Returns when it does not run any more.
    pub(super) async fn stopped(&mut self) {
        // An error means that the back end itself is gone.
        let _ = self.0.wait_for(|running| !running).await;
    }
}

async fn serve(
    name: &'static str,
    listener: TcpListener,
    mut running: Running,
    shared: Arc<Shared>,
) {
    loop {
        let tcp = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => tcp,
                Err(_) => continue,
            },
            () = running.stopped() => return,
        };
        let service = {
            let shared = shared.clone();
            service_fn(move |request| pages::answer(name, shared.clone(), request))
        };
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(tcp), service).with_upgrades();
        let mut running = running.clone();
        tokio::spawn(async move {
            tokio::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => {}
                // Answers under way are finished.
                () = running.stopped() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
}
