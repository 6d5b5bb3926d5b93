//! The way of a request to a member and back to the head of its response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use tidegate_model::{HostOverride, MemberHttp, MemberVersion, Settings};

use crate::conn::ticket::Order;
use crate::core::Core;
use crate::failure::Failure;
use crate::member::{self, Carrier, Cause, Connection, Lost, Member, Name};
use crate::request::body::{Inbound, Limits, RequestBody};
use crate::request::collect::{Stopped, collect};
use crate::request::headers::{self, Seen};
use crate::request::rewriting::Rewriting;
use crate::request::websocket::Handshake;
use crate::request::{Exchange, admit, normalize, redirect, websocket};
use crate::table::{Action, Asking, Candidate, Distribution};
use crate::tunnel::{Counted, Leg};

/// How often a request is begun, at most: members that do not take connections, and connections
/// that turn out to be closed.
const ATTEMPTS: usize = 4;

/// How long a request waits for the first probe of members that have just appeared.
const FIRST_PROBE_LIMIT: Duration = Duration::from_secs(3);

/// What a request comes to.
pub(super) enum Answer {
    /// The member's response.
    Response(Response<Inbound>),
    /// Another place to ask, which the rule says.
    Redirect(StatusCode, HeaderValue),
    /// A 101, and both sides of the tunnel that it makes.
    Tunnel(Box<Switched>),
}

/// A handshake that succeeded.
pub(super) struct Switched {
    /// As the client waits for it.
    pub(super) response: Response<()>,
    pub(super) client: Leg,
    pub(super) member: Leg,
}

/// What a member has answered.
struct Sent {
    response: Response<Inbound>,
    /// What goes to the member after a handshake over HTTP/2.
    stream: Option<SendStream<Bytes>>,
}

/// Does with a request what its rule says.
pub(super) async fn forward(
    mut request: Request<Inbound>,
    exchange: &mut Exchange,
) -> Result<Answer, Failure> {
    normalize::check(&mut request)?;
    let client = exchange.client.clone();
    let core = &client.core;
    // The table is let go of at once: a request that takes long must not keep it.
    let (mut route, seen, admitted, bodies, mut rewriting) = {
        let table = core.shared.table.load();
        let frontend = table.frontend(client.slot).ok_or(Failure::FrontendGone)?;
        let host = normalize::host(request.headers())?;
        let rule = frontend.rule(host).ok_or(Failure::UnknownHost)?;
        let admitted = admit::admit(&client, frontend, rule);
        let route = rule.route(request.uri().path()).clone();
        let (verification, admitted) = admitted;
        let admitted = admitted.and_then(|()| rule.admit(client.peer.ip(), &route));
        let seen = Seen::on(frontend);
        let rewriting = Rewriting::of(&request, rule, &route, &seen)?;
        (route, seen, (verification, admitted), frontend.bodies, rewriting)
    };
    exchange.route = Some(route.clone());
    let (verification, admitted) = admitted;
    exchange.verified(verification);
    admitted?;
    let handshake = websocket::asked(&request)?;
    exchange.websocket = handshake.is_some();
    normalize::check_length(request.headers(), bodies.largest_request)?;
    let trace_id = headers::trace_id();
    if let Some(details) = &mut exchange.details {
        details.trace_id = Some(trace_id.clone());
    }
    let may_hold = request.version() == Version::HTTP_11 && request.headers().contains_key(EXPECT);
    headers::rewrite(&mut request, &client, seen, trace_id)?;
    if let Some(handshake) = &handshake {
        handshake.ask(&mut request);
    }
    if let Some(rewriting) = &mut rewriting {
        route = rewriting.apply(&mut request, &client, route, exchange)?;
    }
    let distribution = match &route.action {
        Action::Forward(forward) => &forward.distribution,
        Action::Redirect(redirect) => return redirect::answer(redirect, &request),
        Action::Refuse => return Err(Failure::RuleRefused),
        Action::NotFound => return Err(Failure::NoPath),
    };
    let has_new_path = headers::set_path(&mut request, &route)?;
    if let Some(details) = &mut exchange.details
        && (has_new_path || rewriting.is_some())
    {
        details.note_target(request.uri());
    }
    let settings = &distribution.settings;
    // Over HTTP/2 to the member nothing is held back: it stops what it does not want.
    let mut expects = may_hold && settings.http_version == MemberHttp::Http1;
    let web_socket = &settings.web_socket;
    if handshake.is_some() {
        let origins = rewriting.as_ref().map(|its| its.origins.as_slice());
        websocket::admit(request.headers_mut(), origins, web_socket)?;
        exchange.counted = Counted::at(&route.series, &web_socket.tunnels, client.peer.ip())?;
    }
    let client_side = handshake.as_ref().map(|_| Leg::of(&mut request));
    let name = tls_name(settings, &request);

    // WebSocket traffic neither follows a cookie nor gets one unless that is asked for.
    let affinity =
        distribution.affinity.as_ref().filter(|_| handshake.is_none() || web_socket.affinity);
    let kept = affinity.and_then(|affinity| affinity.kept(request.headers()));

    let (mut head, mut incoming) = request.into_parts();
    let limits = Limits {
        client: core.shared.timeouts.body_read,
        member: settings.request_timeout,
        largest: bodies.largest_request,
    };
    if bodies.collect_requests && handshake.is_none() {
        incoming = collect(incoming, limits.client).await.map_err(|stopped| match stopped {
            Stopped::Stalled => Failure::ClientStalled,
            Stopped::Broken => Failure::ClientGone,
        })?;
        // The client has sent it: the library has told it to go on.
        if matches!(incoming, Inbound::Collected(_)) {
            head.headers.remove(EXPECT);
            expects = false;
        }
    }
    let (body, upload) = RequestBody::new(incoming, expects, limits);
    exchange.upload = upload.clone();
    let mut request = Request::from_parts(head, body);
    // The HTTP library would leave out the body of a GET or HEAD that does not say its length.
    if upload.is_some() && !request.headers().contains_key(CONTENT_LENGTH) {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(upload) = upload.filter(|_| expects) {
        hyper::ext::on_informational(&mut request, move |informational| {
            if informational.status() == 100 {
                upload.release();
            }
        });
    }

    let asking = Asking {
        core: core.id,
        client: client.peer.ip(),
        kept: kept.or_else(|| distribution.own_of(&client)),
        most_tunnels: web_socket.tunnels.per_member.filter(|_| handshake.is_some()),
        tried: &[],
    };
    let (name, handshake_sent) = (name.as_deref(), handshake.as_ref());
    let sent = send(request, distribution, asking, name, handshake_sent, exchange).await?;
    let Sent { mut response, stream } = sent;
    exchange.answered(response.status().as_u16());
    if let (Some(affinity), Some(member)) = (affinity, &exchange.member)
        && !kept.is_some_and(|kept| kept.current && distribution.is_at(kept, member))
    {
        affinity.keep(response.headers_mut(), member.address);
    }
    let took = match stream {
        Some(_) => response.status().is_success(),
        None => response.status() == StatusCode::SWITCHING_PROTOCOLS,
    };
    if !took {
        // A client that connected takes any success for the beginning of the tunnel.
        let misleads =
            response.status().is_success() && handshake.as_ref().is_some_and(Handshake::is_connect);
        if misleads {
            return Err(Failure::BadUpgrade);
        }
        if bodies.collect_responses && handshake.is_none() {
            response = collected(response, limits.member, exchange).await?;
        }
        return Ok(Answer::Response(response));
    }
    let (Some(handshake), Some(client)) = (handshake, client_side) else {
        return Err(Failure::BadUpgrade);
    };
    if stream.is_none() {
        handshake.judge(response.headers())?;
    }
    let (mut head, body) = response.into_parts();
    let member = match (stream, body) {
        (Some(stream), Inbound::Http2(body)) => Leg::Stream(member::bytes(stream, body)),
        (_, body) => {
            // What the upgrade is of was put there by the library.
            let mut switching = Response::from_parts(head, body.into_hyper());
            let member = hyper::upgrade::on(&mut switching);
            head = switching.into_parts().0;
            Leg::Upgrade(member)
        }
    };
    handshake.answer(&mut head.status, &mut head.headers);
    exchange.rewrite_response(head.status, &mut head.headers)?;
    let response = Response::from_parts(head, ());
    Ok(Answer::Tunnel(Box::new(Switched { response, client, member })))
}

/// The member's response with its body, if that is to be collected.
async fn collected(
    response: Response<Inbound>,
    limit: Duration,
    exchange: &mut Exchange,
) -> Result<Response<Inbound>, Failure> {
    let (head, body) = response.into_parts();
    let body = collect(body, limit).await.map_err(|stopped| match stopped {
        Stopped::Stalled => Failure::MemberTimedOut,
        Stopped::Broken => Failure::MemberClosed,
    })?;
    if let Inbound::Collected(collected) = &body
        && collected.is_whole()
    {
        exchange.give_back();
    }
    Ok(Response::from_parts(head, body))
}

/// The name that an HTTPS member is asked for: `sniName`, else the settings' host, else the member's own, which is not
/// known yet, else the client's.
fn tls_name<B>(settings: &Settings, request: &Request<B>) -> Option<String> {
    let tls = settings.tls.as_ref()?;
    if let Some(name) = &tls.server_name {
        return Some(name.as_str().to_owned());
    }
    match &settings.host {
        HostOverride::Fixed(name) => Some(name.as_str().to_owned()),
        HostOverride::FromMember => None,
        HostOverride::Keep => normalize::host(request.headers()).ok().map(str::to_owned),
    }
}

/// Sends a request until a member answers, or it cannot be sent again safely.
async fn send(
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
