// Package chunk knows what content is: its ids, its 4 KiB blocks, its BLAKE3 hash tree, and the files that hold it.
//
// What it promises:
//   - An ID is a kind and 32 bytes. It never becomes part of a path, except as hex printed by this package.
//   - A block that matches its leaf, and a leaf that was verified up to the root, are the true ones. A mismatch
//     may also come from a wrong size: whom to blame is the caller's decision.
//   - A size said by a stranger costs nothing: no allocation, file length or loop here is proportional to it.
//   - Bytes of a user's file are given out only while the file is still the one that was hashed (Sources).
//   - A download keeps TARGET.part and TARGET.part.sharer until it is complete, verified and renamed (Partial);
//     after an unclean end what is on disk is hashed again, not fetched again.
//
// What it does not: it fetches nothing, decides nothing about peers, knows no clock, and starts no goroutine
// that outlives a call.
//
// Geometry of the tree file, blake3_tree_v2, for n = ceil(size/4096) blocks:
//
//	bytes 0-3    'B' '3' 'T' 0x02
//	bytes 4-31   zero
//	bytes 32-63  the root
//	from 64      levels of 32-byte nodes, the one of two nodes first, the n leaves last
//
// Errors that callers branch on are the Err variables of the files.
package chunk
