//! The block `globalConfiguration`.

use std::num::NonZeroU64;

use tidegate_model::Bodies;

use crate::translate::findings::Findings;
use crate::translate::gateway::Context;
use crate::translate::settings::in_range;

/// How bodies pass. A limit that is wrong is left out, and that is told.
pub(super) fn bodies(context: &Context<'_>, findings: &mut Findings) -> Bodies {
    let Some(source) = &context.spec.global_configuration else {
        return Bodies::default();
    };
    let path = "spec.globalConfiguration.maxRequestBodySizeInKb";
    let limit = source.max_request_body_size_in_kb;
    let limit = limit.and_then(|kb| in_range(kb, 1..=4_194_304, path, findings));
    Bodies {
        collect_requests: source.enable_request_buffering == Some(true),
        collect_responses: source.enable_response_buffering == Some(true),
        largest_request: limit
            .and_then(|kb| u64::try_from(kb).ok())
            .and_then(|kb| NonZeroU64::new(kb * 1024)),
    }
}
