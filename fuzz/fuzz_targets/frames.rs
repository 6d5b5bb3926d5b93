//! Any bytes as a stream of frames, cut anywhere, with and without limits: what passes is as defined.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_proxy::internals::check_frames(data));
