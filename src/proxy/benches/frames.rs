//! What following and counting the frames of one read costs, with and without limits.

use divan::{Bencher, black_box};
use tidegate_proxy::internals::FramesOf;

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

/// Bytes of payload of each frame.
const SIZES: [usize; 3] = [16, 128, 4_096];

fn main() {
    divan::main();
}

fn follow(bencher: Bencher<'_, '_>, frames: FramesOf) {
    let mut frames = frames;
    bencher.bench_local(|| black_box(&mut frames).follow());
}

/// A read of one frame, which is what a chat's tunnel does.
#[divan::bench(args = SIZES)]
fn one(bencher: Bencher<'_, '_>, size: usize) {
    follow(bencher, FramesOf::new(1, size, false));
}

#[divan::bench(args = SIZES)]
fn one_with_limits(bencher: Bencher<'_, '_>, size: usize) {
    follow(bencher, FramesOf::new(1, size, true));
}

/// A read of sixteen.
#[divan::bench(args = SIZES)]
fn sixteen(bencher: Bencher<'_, '_>, size: usize) {
    follow(bencher, FramesOf::new(16, size, false));
}

#[divan::bench(args = SIZES)]
fn sixteen_with_limits(bencher: Bencher<'_, '_>, size: usize) {
    follow(bencher, FramesOf::new(16, size, true));
}
