//! Parts of the inside for benches, fuzz targets and their tests. No part of the interface.

mod frames;
mod lookup;
mod rewrite;
mod script;
mod table;
mod tunnel;

pub use frames::{FramesOf, check_frames};
pub use lookup::{Hosts, Paths};
pub use rewrite::check_rewrite;
pub use table::{Compile, check_table, snapshot_of};
pub use tunnel::check_tunnel;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn any_two_snapshots_make_tables_that_agree_with_their_definition(
            data in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            super::check_table(&data);
        }

        #[test]
        fn any_bytes_pass_as_frames_as_far_as_they_are_some(
            data in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            super::check_frames(&data);
        }

        #[test]
        fn frames_pass_as_they_should(
            how in proptest::collection::vec(any::<u8>(), 5..20),
            frames in proptest::collection::vec(
                (prop_oneof![Just(1_u8), Just(0), Just(2), Just(8), Just(9), Just(10)], any::<bool>(), 0..9_u8),
                0..12,
            ),
        ) {
            let frames = frames.into_iter().flat_map(|(opcode, fin, length)| {
                let head = [opcode | u8::from(fin || opcode > 7) << 7, length];
                head.into_iter().chain(b"our ping!".iter().copied().take(length.into()))
            });
            super::check_frames(&how.into_iter().chain(frames).collect::<Vec<u8>>());
        }

        #[test]
        fn rewriting_leaves_alone_what_it_must(
            kinds in proptest::collection::vec(any::<u8>(), 1..4),
            lines in proptest::collection::vec(
                prop_oneof!["[a-z/?#%{}_ =;(.*)]{0,12}", Just("{var_uri_path_1}".to_owned()),
                    Just("{http_req_x}{http_req_x}".to_owned()), Just("host".to_owned()),
                    Just("connection".to_owned()), Just("{capt_header_value_matcher_1}".to_owned())],
                0..40,
            ),
        ) {
            let text = lines.join("\n");
            super::check_rewrite(&[&kinds[..], b"\n", text.as_bytes()].concat());
        }

        #[test]
        fn whatever_is_sent_through_a_tunnel_arrives(
            data in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            super::check_tunnel(&data);
        }
    }
}
