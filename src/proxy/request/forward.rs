//! The way of a request to a member and back to the head of its response.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use tidegate_model::{HostOverride, MemberHttp, Settings};

use crate::failure::Failure;
use crate::member;
use crate::request::body::{Inbound, Limits, RequestBody};
use crate::request::collect::{Stopped, collect};
use crate::request::headers::{self, Seen};
use crate::request::rewriting::Rewriting;
use crate::request::send::{Sent, send};
use crate::request::websocket::Handshake;
use crate::request::{Exchange, admit, normalize, redirect, websocket};
use crate::table::{Action, Asking};
use crate::tunnel::{Counted, Leg};

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
