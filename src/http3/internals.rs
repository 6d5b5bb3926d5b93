//! What fuzz targets need: every parser that a peer's bytes reach, as a function of bytes.

use bytes::Bytes;

use crate::control::Control;
use crate::frame::{Frames, Place};
use crate::qpack::{decode, huffman, instructions};
use crate::{fields, head};

const LIMIT: u64 = 32 * 1024;

/// Decodes a field section, and reads it as a request and as trailers.
pub fn fuzz_field_section(data: &[u8]) {
    if let Ok(section) = decode::section(&Bytes::copy_from_slice(data), LIMIT) {
        let _ = head::request(section.clone());
        let _ = fields::trailers(section);
    }
}

/// Decodes a Huffman string.
pub fn fuzz_huffman(data: &[u8]) {
    let _ = huffman::decode(data, LIMIT);
}

/// Reads the frames of a request's stream, in pieces of the length that the first byte says.
pub fn fuzz_request_frames(data: &[u8]) {
    frames(Place::Request { limit: LIMIT }, data, |_, _| {});
}

/// Reads the frames of a control stream in pieces, and judges them.
pub fn fuzz_control_stream(data: &[u8]) {
    let mut control = Control::default();
    frames(Place::Control { settled: false }, data, |kind, payload| {
        let _ = control.frame(kind, payload);
    });
}

/// Goes over the instructions of an encoder and of a decoder.
pub fn fuzz_instructions(data: &[u8]) {
    let _ = instructions::encoder(data);
    let _ = instructions::Decoder::default().feed(data);
}

fn frames(place: Place, data: &[u8], mut seen: impl FnMut(u64, &[u8])) {
    let Some((size, data)) = data.split_first() else { return };
    let mut frames = Frames::new(place);
    for piece in data.chunks(usize::from(*size).max(1)) {
        let mut piece = Bytes::copy_from_slice(piece);
        loop {
            match frames.next(&mut piece) {
                Ok(Some(crate::frame::Event::Control(kind, payload))) => seen(kind, &payload),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}
