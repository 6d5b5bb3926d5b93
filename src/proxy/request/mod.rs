//! One request, from its head to the last byte of its response.
//!
//! ```text
//! check -> rule -> path rule -> rewrite -> member -> send -> response, or a tunnel after a 101
//!                     \-> redirect
//! ```
//! The rule is looked up in the table of the moment; after that the request holds its rule and
//! member alone. Header maps are changed in place and never copied, but for a request on a used
//! connection that may have to be sent again.

mod admit;
pub(crate) mod body;
mod collect;
mod exchange;
mod forward;
mod headers;
mod hop;
mod normalize;
mod redirect;
pub(crate) mod respond;
mod rewriting;
mod send;
pub(crate) mod websocket;

pub(crate) use exchange::{Details, End, Exchange, Held, Parts, Served};

pub(crate) use crate::access_log::TunnelLine;

use std::sync::Arc;

use http::{Request, Response};

use crate::conn::client::Client;
use crate::request::body::{Inbound, ResponseBody};

/// Answers a request, by a member or by itself.
pub(crate) async fn serve(
    client: Arc<Client>,
    request: Request<Inbound>,
) -> Response<ResponseBody> {
    let mut exchange = Exchange::begin(client, &request);
    match forward::forward(request, &mut exchange).await {
        Ok(forward::Answer::Response(response)) => respond::forwarded(response, exchange),
        Ok(forward::Answer::Tunnel(upgrade)) => respond::switch(*upgrade, exchange),
        Ok(forward::Answer::Redirect(status, location)) => {
            respond::redirected(status, location, exchange)
        }
        Err(failure) => respond::failed(failure, exchange),
    }
}
