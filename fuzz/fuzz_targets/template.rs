//! Templates from bytes: what is converted is what the resource takes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_control::internals::check_template(data));
