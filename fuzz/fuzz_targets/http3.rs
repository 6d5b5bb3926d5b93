//! What a peer sends over HTTP/3, to each of its parsers: nothing panics.
#![no_main]

use tidegate_http3::internals;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    match which % 5 {
        0 => internals::fuzz_field_section(data),
        1 => internals::fuzz_huffman(data),
        2 => internals::fuzz_request_frames(data),
        3 => internals::fuzz_control_stream(data),
        _ => internals::fuzz_instructions(data),
    }
});
