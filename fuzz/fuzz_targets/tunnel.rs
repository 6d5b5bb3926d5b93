//! Any order of writes, reads and ends at both sides of a tunnel: every byte arrives.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_proxy::internals::check_tunnel(data));
