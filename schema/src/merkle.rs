//! Merkle trees as in RFC 9162 section 2.1 (and in C2SP's logs): many leaves under one signed root, and a short path that
//! shows one of them.

use sha2::{Digest, Sha256};

/// The hash of a leaf or of an inner node.
pub type Hash = [u8; 32];

/// Keeps a leaf from ever being taken for an inner node.
const LEAF: u8 = 0;
const NODE: u8 = 1;

/// The hash of a leaf with this content.
pub fn leaf(content: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([LEAF]);
    hash.update(content);
    hash.finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([NODE]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// The root over these leaves; of none, the hash of nothing.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// The hashes beside the way from a leaf to the root, the lowest first. Empty when there is no such leaf.
pub fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() < 2 || index >= leaves.len() {
        return Vec::new();
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut below, beside) =
        if index < at { (path(left, index), root(right)) } else { (path(right, index - at), root(left)) };
    below.push(beside);
    below
}

/// The root that a leaf and its path lead to; `None` when the path does not have the length of that place.
pub fn root_of(leaf: &Hash, index: usize, size: usize, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    if size == 1 {
        return path.is_empty().then_some(*leaf);
    }
    let (beside, below) = path.split_last()?;
    let at = split(size);
    if index < at {
        root_of(leaf, index, at, below).map(|left| node(&left, beside))
    } else {
        root_of(leaf, index - at, size - at, below).map(|right| node(beside, &right))
    }
}

/// The largest power of two below `size`, which is at least two.
fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    /// RFC 9162 section 2.1.4 draws a tree of seven leaves.
    #[test]
    fn tree_of_seven_is_the_one_of_the_standard() {
        let [a, b, c, d, e, f, j] = leaves(7).try_into().expect("seven");
        let (g, h, i) = (node(&a, &b), node(&c, &d), node(&e, &f));
        let (k, l) = (node(&g, &h), node(&i, &j));
        let all = [a, b, c, d, e, f, j];
        assert_eq!(root(&all), node(&k, &l));
        assert_eq!(path(&all, 0), [b, h, l]);
        assert_eq!(path(&all, 3), [c, g, l]);
        assert_eq!(path(&all, 4), [f, j, k]);
        assert_eq!(path(&all, 6), [i, k]);
    }

    /// The root of an empty tree, of one empty leaf, and a leaf of 0x00 as Certificate Transparency's own tests give them.
    #[test]
    fn known_hashes() {
        let hex = crate::id::hex;
        assert_eq!(hex(&root(&[])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(&leaf(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        let two = [leaf(b""), leaf(b"\0")];
        assert_eq!(hex(&root(&two)), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_shown_and_nothing_else() {
        for size in 1..40 {
            let all = leaves(size);
            let top = root(&all);
            for index in 0..size {
                let way = path(&all, index);
                assert_eq!(root_of(&all[index], index, size, &way), Some(top));
                for other in (0..size).filter(|other| *other != index) {
                    assert_ne!(root_of(&all[index], other, size, &way), Some(top), "{size} {index} {other}");
                    assert_ne!(root_of(&all[other], index, size, &way), Some(top), "{size} {index} {other}");
                }
                assert_eq!(root_of(&all[index], index, size, &[&way[..], &[top]].concat()), None);
                if let Some((_, shorter)) = way.split_last() {
                    assert_ne!(root_of(&all[index], index, size, shorter), Some(top));
                }
            }
            assert_eq!(root_of(&all[0], size, size, &[]), None);
        }
    }
}
