//! The block `globalConfiguration`.

use std::num::NonZeroU64;

use tidegate_model::Bodies;

use crate::translate::findings::Findings;
use crate::translate::gateway::Context;
use crate::translate::settings::in_range;

/// The largest limit of request bodies, in units of 1024 bytes: 4 GiB.
const LARGEST: i32 = 4_194_304;

/// How bodies pass. In place of a limit that is out of range, which is told, the nearest one is
/// kept: a mistake must not open what is to be closed.
pub(super) fn bodies(context: &Context<'_>, findings: &mut Findings) -> Bodies {
    let Some(source) = &context.spec.global_configuration else {
        return Bodies::default();
    };
    let path = "spec.globalConfiguration.maxRequestBodySizeInKb";
    let limit = source.max_request_body_size_in_kb.map(|kb| {
        in_range(kb, 1..=LARGEST, path, findings);
        kb.clamp(1, LARGEST)
    });
    Bodies {
        collect_requests: source.enable_request_buffering == Some(true),
        collect_responses: source.enable_response_buffering == Some(true),
        largest_request: limit
            .and_then(|kb| u64::try_from(kb).ok())
            .and_then(|kb| NonZeroU64::new(kb * 1024)),
    }
}
