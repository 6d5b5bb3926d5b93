//! What is known of a request while it lasts, and what becomes of it at the end: counters, a line
//! in the access log, and the member's connection back on its stack.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use tidegate_model::ObjectName;

use crate::access_log::{AccessLog, Entry, TlsInfo, TunnelLine};
use crate::conn::client::{Busy, Client};
use crate::conn::ticket::{Order, Ticket};
use crate::failure::Failure;
use crate::member::{Connection, Lease, Member};
use crate::metrics::{HandshakeFailure, RuleSeries};
use crate::request::body::Upload;
use crate::rewrite::Pending;
use crate::table::Route;
use crate::tls::{ClientCertificate, Verification};
use crate::tunnel::Counted;

/// One request and its response.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(super) client: Arc<Client>,
    pub(super) started: Instant,
    pub(super) route: Option<Arc<Route>>,
    pub(super) member: Option<Arc<Member>>,
    pub(super) connection: Option<Connection>,
    /// Of a handshake or request over HTTP/2 to the member: its place on a shared connection.
    pub(super) lease: Option<Lease>,
    pub(super) upload: Option<Arc<Upload>>,
    pub(super) websocket: bool,
    /// The answer to a HEAD has no body.
    is_head: bool,
    /// How the listener judged the client's certificate.
    pub(super) verification: Verification,
    /// What the response is rewritten by.
    pub(super) rewrites: Option<Box<Pending>>,
    /// A rewrite rule has set the host that members see.
    pub(super) host_is_set: bool,
    /// Of a handshake: its place among the tunnels.
    pub(super) counted: Counted,
    status: u16,
    failure: Option<Failure>,
    served: Served,
    sent: u64,
    complete: bool,
    /// The member has answered to the end, and its connection was given back.
    given_back: bool,
    /// Only with an access log.
    pub(super) details: Option<Box<Details>>,
}

/// What the member did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    pub(crate) status: Option<u16>,
    pub(crate) latency: Option<Duration>,
    pub(crate) local_port: Option<u16>,
}

/// What the access log tells of a request besides what is known anyway.
#[derive(Debug)]
pub(crate) struct Details {
    log: AccessLog,
    time: SystemTime,
    method: Method,
    uri: Box<str>,
    version: Version,
    user_agent: Option<HeaderValue>,
    original_host: Option<HeaderValue>,
    pub(super) host: Option<HeaderValue>,
    /// Path and query that members see, if they are others.
    target: Option<Box<str>>,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) trace_id: Option<HeaderValue>,
    tls: Option<TlsInfo>,
    pub(super) verification: Verification,
    certificate: Option<Arc<ClientCertificate>>,
    peer: SocketAddr,
}

impl Details {
    fn of<B>(log: &AccessLog, client: &Client, request: &Request<B>) -> Self {
        let headers = request.headers();
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        Self {
            log: log.clone(),
            time: SystemTime::now(),
            method: request.method().clone(),
            uri: target.into(),
            version: request.version(),
            user_agent: headers.get(USER_AGENT).cloned(),
            original_host: headers.get(HOST).cloned(),
            host: None,
            target: None,
            content_type: None,
            trace_id: None,
            tls: client.tls,
            verification: Verification::None,
            certificate: client.certificate.clone(),
            peer: client.peer,
        }
    }

    /// Takes the path and query that members see.
    pub(super) fn note_target(&mut self, uri: &Uri) {
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        self.target = (target != &*self.uri).then(|| target.into());
    }

    /// Takes what the response tells.
    pub(super) fn note_response(&mut self, headers: &HeaderMap) {
        self.content_type = headers.get(CONTENT_TYPE).cloned();
    }

    /// Writes the line.
    pub(crate) fn log(&self, end: &End<'_>) {
        let text = |value: &Option<HeaderValue>| {
            value.as_ref().and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let names = end.names;
        self.log.write(&Entry {
            time: self.time,
            gateway: end.gateway,
            listener: names.map_or("", |series| &series.key().listener),
            rule: names.map_or("", |series| &series.key().rule),
            pool: match end.member {
                // A rule may lead to several.
                Some(member) => member.series.pool(),
                None => names.map_or("", |series| &series.key().pool),
            },
            settings: names.map_or("", |series| &series.key().settings),
            client: self.peer,
            method: self.method.as_str(),
            uri: &self.uri,
            target: self.target.as_deref().unwrap_or(&self.uri),
            user_agent: self.user_agent.as_ref().map(HeaderValue::as_bytes),
            content_type: self.content_type.as_ref().map(HeaderValue::as_bytes),
            status: end.status,
            version: self.version,
            received: end.received,
            sent: end.sent,
            took: end.took,
            transaction_id: text(&self.trace_id).as_deref().unwrap_or(""),
            tls: self.tls,
            verification: self.verification,
            certificate: self.certificate.as_deref(),
            server: end.member.map(|member| member.address),
            server_status: end.served.status,
            server_latency: end.served.latency,
            upstream_port: end.served.local_port,
            original_host: text(&self.original_host).as_deref(),
            host: text(&self.host).as_deref(),
            error_info: end.error_info,
            tunnel: end.tunnel,
        });
    }
}

/// The answer that ends an exchange and begins a tunnel.
const SWITCHED: u16 = 101;

/// What a tunnel goes on with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) client: Arc<Client>,
    pub(crate) route: Arc<Route>,
    pub(crate) member: Arc<Member>,
    pub(crate) started: Instant,
    pub(crate) served: Served,
    pub(crate) details: Option<Box<Details>>,
    pub(crate) counted: Counted,
    /// What the client's connection, and a shared one to the member, are kept by.
    pub(crate) held: Held,
}

/// What a tunnel keeps of connections that others use, too: dropped with it.
#[derive(Debug)]
pub(crate) struct Held {
    _client: Option<Busy>,
    _member: Option<Lease>,
}

/// How a request or tunnel ended, for its line in the access log.
pub(crate) struct End<'a> {
    pub(crate) gateway: Option<&'a ObjectName>,
    pub(crate) names: Option<&'a RuleSeries>,
    pub(crate) member: Option<&'a Member>,
    pub(crate) status: u16,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) took: Duration,
    pub(crate) served: Served,
    pub(crate) error_info: &'static str,
    pub(crate) tunnel: Option<TunnelLine>,
}

impl Exchange {
    /// A request has arrived.
    pub(super) fn begin<B>(client: Arc<Client>, request: &Request<B>) -> Self {
        client.begin();
        let log = client.core.shared.access_log.as_ref();
        let details = log.map(|log| Box::new(Details::of(log, &client, request)));
        Self {
            client,
            started: Instant::now(),
            route: None,
            member: None,
            connection: None,
            lease: None,
            upload: None,
            websocket: false,
            is_head: request.method() == Method::HEAD,
            verification: Verification::None,
            rewrites: None,
            host_is_set: false,
            counted: Counted::default(),
            status: 0,
            failure: None,
            served: Served::default(),
            sent: 0,
            complete: false,
            given_back: false,
            details,
        }
    }

    /// The listener has judged the client's certificate.
    pub(super) fn verified(&mut self, verification: Verification) {
        self.verification = verification;
        if let Some(details) = &mut self.details {
            details.verification = verification;
        }
    }

    /// Changes the headers of a member's response as rewrite rules say.
    pub(super) fn rewrite_response(
        &mut self,
        status: StatusCode,
        headers: &mut HeaderMap,
    ) -> Result<(), Failure> {
        match self.rewrites.take() {
            Some(pending) => {
                pending.rewrite(status.as_u16(), headers).map_err(|_| Failure::BadRewrite)
            }
            None => Ok(()),
        }
    }

    /// A member was chosen; the one before, if any, did not take the connection.
    pub(super) fn chose(&mut self, member: &Arc<Member>) {
        let core = self.client.core.id;
        if let Some(before) = self.member.take() {
            before.series.request_ended(core);
        }
        member.series.request_started(core);
        self.member = Some(member.clone());
    }

    /// The member's response has begun.
    pub(super) fn answered(&mut self, status: u16) {
        let latency = self.started.elapsed();
        let own = self.connection.as_ref().map(|connection| connection.local_port);
        let local_port = own.or_else(|| self.lease.as_ref().map(Lease::local_port));
        self.served = Served { status: Some(status), latency: Some(latency), local_port };
        if let Some(upload) = &self.upload {
            upload.answered();
        }
        if let Some(member) = &self.member {
            member.series.request(self.client.core.id, status, latency);
        }
        self.member_moved();
    }

    /// The page that goes with an answer of our own, if there is one.
    pub(super) fn error_page(&self, status: u16) -> Option<Bytes> {
        if let Some(route) = &self.route {
            return route.error_pages.as_ref()?.get(status).cloned();
        }
        let table = self.client.core.shared.table.load();
        table.frontend(self.client.slot)?.error_pages.as_ref()?.get(status).cloned()
    }

    /// Whether the request is a HEAD, whose answer has no body.
    pub(super) fn is_head(&self) -> bool {
        self.is_head
    }

    /// The client gets this status, and why if it is not the member's.
    pub(super) fn responds(&mut self, status: u16, failure: Option<Failure>) {
        self.status = status;
        self.failure = failure;
    }

    /// The deadline and orders of what the member was asked on: a connection, or a stream of one.
    fn ticket(&self) -> Option<&Arc<Ticket>> {
        match &self.connection {
            Some(connection) => Some(&connection.ticket),
            None => self.lease.as_ref()?.call(),
        }
    }

    pub(super) fn member_has_to_move(&self) {
        if let (Some(ticket), Some(route)) = (self.ticket(), &self.route)
            && let Some(settings) = route.settings()
        {
            ticket.arm(settings.request_timeout);
        }
    }

    pub(super) fn member_moved(&self) {
        if let Some(ticket) = self.ticket() {
            ticket.disarm();
        }
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The response was read to its end.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    /// Ends the member's part before the client has got everything: all of its response is here.
    pub(super) fn give_back(&mut self) {
        self.complete = true;
        if let Some(member) = self.member.clone().filter(|_| !self.given_back) {
            member.series.request_ended(self.client.core.id);
            if let Some(connection) = self.connection.take() {
                self.keep(&member, connection);
            }
            self.lease = None;
            self.given_back = true;
        }
    }

    /// Keeps a connection for the next request, of this client alone if the settings say so.
    fn keep(&self, member: &Arc<Member>, connection: Connection) {
        match self.route.as_ref().and_then(|route| route.settings()) {
            Some(settings) if settings.dedicated_connections => {
                self.client.own.put(member.clone(), connection);
            }
            _ => member.keep(&self.client.core, connection),
        }
    }

    /// The member's body ended before its end.
    pub(super) fn broken(&mut self) {
        if self.upload.as_ref().is_some_and(|upload| upload.is_too_large()) {
            self.failure = Some(Failure::BodyTooLarge);
            return;
        }
        let order = self.ticket().map(|ticket| ticket.order());
        self.failure = Some(match order {
            Some(Order::Expired) => Failure::MemberTimedOut,
            Some(Order::Abort) => Failure::MemberGone,
            _ => Failure::MemberClosed,
        });
    }

    /// Gives what a tunnel goes on with; the exchange itself is over, and counted by the tunnel.
    pub(crate) fn into_parts(mut self) -> Option<Parts> {
        let parts = Parts {
            client: self.client.clone(),
            route: self.route.clone()?,
            member: self.member.clone()?,
            started: self.started,
            served: self.served,
            details: self.details.take(),
            counted: std::mem::take(&mut self.counted),
            held: Held { _client: self.client.busy_if_shared(), _member: self.lease.take() },
        };
        self.status = SWITCHED;
        Some(parts)
    }

    fn record(&mut self) {
        let core = &self.client.core;
        if self.status == 0 {
            self.status = Failure::ClientGone.status();
            self.failure = Some(Failure::ClientGone);
        }
        let took = self.started.elapsed();
        let received = self.upload.as_ref().map_or(0, |upload| upload.received());
        let unmatched = match &self.route {
            Some(_) => None,
            None => core.shared.table.load().frontend(self.client.slot).cloned(),
        };
        let series = match (&self.route, &unmatched) {
            (Some(route), _) => Some(&route.series),
            (None, Some(frontend)) => Some(&frontend.unmatched),
            (None, None) => None,
        };
        if let Some(series) = series {
            series.request(core.id, self.status, took, received, self.sent);
            if let Some(failure) = self.failure {
                series.failure(core.id, failure.label());
            }
            if self.websocket {
                let refused = HandshakeFailure::Refused;
                let reason = self.failure.map_or(refused, Failure::handshake_label);
                series.handshake_failure(core.id, reason);
            }
        }
        if let Some(details) = &self.details {
            let gateway = match (&self.route, &unmatched) {
                (Some(route), _) => Some(&*route.gateway),
                (None, Some(frontend)) => Some(&*frontend.gateway),
                (None, None) => None,
            };
            details.log(&End {
                gateway,
                names: series.map(Arc::as_ref),
                member: self.member.as_deref(),
                status: self.status,
                received,
                sent: self.sent,
                took,
                served: self.served,
                error_info: self.failure.map_or("ERRORINFO_NO_ERROR", Failure::error_info),
                tunnel: None,
            });
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.client.end();
        if let Some(upload) = &self.upload {
            upload.abandon();
        }
        if self.status != SWITCHED {
            self.record();
        }
        if let Some(member) = self.member.take().filter(|_| !self.given_back) {
            member.series.request_ended(self.client.core.id);
            if let Some(connection) = self.connection.take()
                && self.complete
            {
                self.keep(&member, connection);
            }
        }
    }
}
