//! Snapshots from bytes, compiled one after the other: lookups and identities are as defined.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_proxy::internals::check_table(data));
