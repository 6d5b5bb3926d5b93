//! Parts of the inside for benches, fuzz targets and their tests. No part of the interface.

mod lookup;
mod script;
mod table;
mod tunnel;

pub use lookup::{Hosts, Paths};
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
        fn whatever_is_sent_through_a_tunnel_arrives(
            data in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            super::check_tunnel(&data);
        }
    }
}
