//! Which member a request is sent to, over what, and how often: until one has answered, or it cannot
//! be sent again safely.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response};
use tidegate_model::{HostOverride, MemberHttp, MemberVersion};

use crate::conn::ticket::Order;
use crate::core::Core;
use crate::failure::Failure;
use crate::member::{Carrier, Cause, Connection, Lost, Member, Name};
use crate::request::Exchange;
use crate::request::body::{Inbound, RequestBody};
use crate::request::websocket::Handshake;
use crate::table::{Asking, Candidate, Distribution};

/// How often a request is begun, at most: members that do not take connections, and connections
/// that turn out to be closed.
const ATTEMPTS: usize = 4;

/// How long a request waits for the first probe of members that have just appeared.
const FIRST_PROBE_LIMIT: Duration = Duration::from_secs(3);

/// What a member has answered.
pub(super) struct Sent {
    pub(super) response: Response<Inbound>,
    /// What goes to the member after a handshake over HTTP/2.
    pub(super) stream: Option<SendStream<Bytes>>,
}

/// Sends a request until a member answers, or it cannot be sent again safely.
pub(super) async fn send(
    mut request: Request<RequestBody>,
    distribution: &Distribution,
    asking: Asking<'_>,
    name: Option<&str>,
    handshake: Option<&Handshake>,
    exchange: &mut Exchange,
) -> Result<Sent, Failure> {
    let core = &exchange.client.core.clone();
    let settings = &distribution.settings;
    let own_limit = settings.web_socket.handshake_timeout.filter(|_| exchange.websocket);
    let limit = own_limit.unwrap_or(settings.request_timeout);
    let most_tunnels = asking.most_tunnels;
    // Members that did not take the connection.
    let mut tried: Vec<Arc<Member>> = Vec::new();
    let mut failure = Failure::NoLiveMember;
    let mut fresh = false;
    for _ in 0..ATTEMPTS {
        let asking = Asking { tried: &tried, ..asking };
        let Some(candidate) = choose(distribution, core, &asking).await else {
            let is_full = most_tunnels.is_some() && tried.is_empty() && distribution.is_up();
            return Err(if is_full { Failure::TooManyTunnels } else { failure });
        };
        let member = &candidate.member;
        // Another core may have been faster.
        if exchange.websocket && !exchange.counted.choose(member, most_tunnels) {
            failure = Failure::TooManyTunnels;
            continue;
        }
        exchange.chose(member);
        set_host(&mut request, distribution, member, exchange);
        let name = member.name(name.or(member.fqdn.as_deref()));
        let obtained = match handshake {
            None if settings.http_version == MemberHttp::Http2 => {
                member.stream(core, name).await.map(Carrier::Stream)
            }
            None if settings.dedicated_connections => {
                let own = &exchange.client.own;
                own.obtain(member, core, name, fresh).await.map(Carrier::Http1)
            }
            None => obtain(member, core, name, fresh).await.map(Carrier::Http1),
            Some(handshake) => {
                let version = settings.web_socket.member_version;
                if version == MemberVersion::Http2 && !handshake.has_key() {
                    return Err(Failure::BadKey);
                }
                member.carrier(core, name, version, handshake.has_key()).await
            }
        };
        let report = |failed| {
            if let Some(rules) = &settings.outlier_ejection {
                candidate.health.report(failed, rules);
            }
        };
        let carrier = match obtained {
            Ok(carrier) => carrier,
            Err(error) => {
                report(true);
                failure = Failure::from(&error);
                tried.push(member.clone());
                continue;
            }
        };
        let reused = match &carrier {
            Carrier::Http1(connection) => connection.reused,
            Carrier::Http2(lease) => lease.reused,
            // It makes its own.
            Carrier::Stream(_) => false,
        };
        let scheme = match settings.tls {
            Some(_) => Scheme::HTTPS,
            None => Scheme::HTTP,
        };
        let spare = (reused && can_repeat(&request)).then(|| copy(&request));
        let lost = match carrier {
            Carrier::Http1(connection) => {
                let connection = exchange.connection.insert(connection);
                request.body_mut().attach(&connection.ticket);
                match connection.send(request, limit).await {
                    Ok(response) => {
                        report(response.status().is_server_error());
                        return Ok(Sent { response: response.map(Inbound::Hyper), stream: None });
                    }
                    Err(lost) => lost,
                }
            }
            Carrier::Http2(lease) => {
                match exchange.lease.insert(lease).send(request, scheme, limit).await {
                    Ok((response, stream)) => {
                        report(response.status().is_server_error());
                        let response = response.map(Inbound::Http2);
                        return Ok(Sent { response, stream: Some(stream) });
                    }
                    Err(lost) => lost,
                }
            }
            Carrier::Stream(lease) => {
                let repeats = can_repeat(&request);
                let lease = exchange.lease.insert(lease);
                // Boxed: most members speak HTTP/1.1.
                match Box::pin(lease.request(core, request, scheme, limit, repeats)).await {
                    Ok(response) => {
                        report(response.status().is_server_error());
                        let response = response.map(|body| Inbound::Stream(Box::new(body)));
                        return Ok(Sent { response, stream: None });
                    }
                    Err(lost) => lost,
                }
            }
        };
        exchange.connection = None;
        exchange.lease = None;
        failure = why(&lost);
        if exchange.upload.as_ref().is_some_and(|upload| upload.is_too_large()) {
            return Err(Failure::BodyTooLarge);
        }
        // Nothing was written, or nothing came back on a connection that the member was closing.
        let again = match lost {
            Lost { unsent: Some(unsent), .. } => Some(unsent),
            Lost { order: Order::None, cause: Cause::Closed, .. } => spare,
            _ => None,
        };
        let Some(again) = again else {
            // Neither the client's fault, nor ours, nor that of a connection that was just closed.
            report(matches!(
                failure,
                Failure::MemberTimedOut | Failure::BadResponse | Failure::MemberClosed
            ));
            return Err(failure);
        };
        member.series.retried(core.id);
        request = again;
        fresh = true;
    }
    Err(failure)
}

/// A kept connection, else a new one.
async fn obtain(
    member: &Member,
    core: &Arc<Core>,
    name: Name,
    fresh: bool,
) -> Result<Connection, crate::member::ConnectError> {
    if !fresh && let Some(kept) = member.kept(core, &name).await {
        return Ok(kept);
    }
    member.connect(core, name, false).await
}

/// The member to ask. Waits a while if it would be another one as soon as members are probed for
/// the first time: there is none yet, or not the one that the client is to stay with.
async fn choose(
    distribution: &Distribution,
    core: &Core,
    asking: &Asking<'_>,
) -> Option<Candidate> {
    let choice = || {
        let candidate = distribution.pick(asking);
        let waits = match candidate {
            Some(_) => distribution.awaits_probe_of(asking.kept),
            None => distribution.awaits_probe(),
        };
        (candidate.cloned(), waits)
    };
    let (first, waits) = choice();
    if !waits {
        return first;
    }
    let mut changes = core.shared.changes.subscribe();
    let probed = async {
        loop {
            let (candidate, waits) = choice();
            if !waits || changes.changed().await.is_err() {
                return candidate;
            }
        }
    };
    Box::pin(tokio::time::timeout(FIRST_PROBE_LIMIT, probed)).await.unwrap_or(first)
}

fn set_host(
    request: &mut Request<RequestBody>,
    distribution: &Distribution,
    member: &Member,
    exchange: &mut Exchange,
) {
    let own = match &distribution.settings.host {
        // A rule that says so by itself means it.
        _ if exchange.host_is_set => None,
        HostOverride::Keep => None,
        HostOverride::Fixed(_) => distribution.host.as_ref(),
        HostOverride::FromMember => Some(&member.host),
    };
    match own {
        Some(host) => drop(request.headers_mut().insert(HOST, host.clone())),
        // Only HTTP/1.0 comes without; HTTP/1.1 must have one, if empty (RFC 9112 3.2).
        None if !request.headers().contains_key(HOST) => {
            request.headers_mut().insert(HOST, HeaderValue::from_static(""));
        }
        None => {}
    }
    if let Some(details) = &mut exchange.details {
        details.host = request.headers().get(HOST).cloned();
    }
}

/// Whether a request may reach the member twice without harm (RFC 9110 9.2.2).
fn can_repeat(request: &Request<RequestBody>) -> bool {
    let idempotent = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE];
    request.body().is_empty() && idempotent.contains(request.method())
}

fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

fn why(lost: &Lost) -> Failure {
    match (lost.order, lost.cause) {
        (Order::Expired, _) => Failure::MemberTimedOut,
        (Order::ClientStalled, _) => Failure::ClientStalled,
        (Order::Abort, _) => Failure::MemberGone,
        (Order::None | Order::Graceful, Cause::Malformed) => Failure::BadResponse,
        (Order::None | Order::Graceful, Cause::Client) => Failure::ClientGone,
        (Order::None | Order::Graceful, Cause::Closed | Cause::Reset) => Failure::MemberClosed,
    }
}
