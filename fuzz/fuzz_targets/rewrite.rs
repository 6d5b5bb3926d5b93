//! Rewrite rules of any kind, applied to requests and responses of any kind: what must not be
//! rewritten is not, and what comes out can be sent.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tidegate_proxy::internals::check_rewrite(data));
